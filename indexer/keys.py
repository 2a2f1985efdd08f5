"""The text cache K_T: a key for each distinct text, or one for each shot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from adapter.networks import Networks
from indexer.columns import Column
from indexer.index import KeyIndex
from indexer.records import Floats, Ints
from indexer.texts import Texts


class TextKeys(ABC):
    """Keys `unit(MetaNet(t))` for the texts of N shots; see `Texts` for references and rows.

    Attributes:
        index: of the M keys.
    """

    def __init__(self, index: KeyIndex, networks: Networks, device: torch.device) -> None:
        """Begin empty.

        Args:
            index: an empty one, for the keys.
            networks: with MetaNet on `device`.
            device: where the keys are computed.
        """
        self.index = index
        self._networks = networks
        self._device = device
        self._texts = Texts(networks.width_in, device)

    @property
    @abstractmethod
    def rows(self) -> Column:
        """(N,): the row of each shot's key."""

    @abstractmethod
    def features(self) -> Callable[[Tensor], Tensor]:
        """What the keys are made of, copied: to be called on any thread, at any time.

        It takes the shots' keys (N, D) and gives features (M, D).
        """

    @abstractmethod
    def load(self, references: Ints, features: Mapping[int, Floats], keys: Tensor) -> None:
        """Fill the empty cache for N shots at once.

        Args:
            references: (N,) of each shot's text.
            features: reference -> (D,), of all of them.
            keys: (N, D), of the shots.
        """

    @abstractmethod
    def add(self, reference: int, feature: Floats | None, key: Tensor) -> None:
        """A shot more, the last one.

        Args:
            reference: of its text.
            feature: (D,), needed for a text that no shot has. Raises KeyError without.
            key: (D,), the shot's.
        """

    @abstractmethod
    def remove(self, shot: int) -> int | None:
        """A shot goes; the last takes its place.

        Returns:
            The row of a key that went with it, whose place the last key has taken, if one did.
        """

    @abstractmethod
    def replace(self, reference: int, feature: Floats, keys: Callable[[], Tensor]) -> None:
        """Give a text another feature (D,); `keys` gives the shots' (N, D)."""

    def _keys(self, features: Tensor) -> Tensor:
        """(n, d) for features (n, D)."""
        with torch.no_grad():
            keys: Tensor = self._networks.meta_net(features.to(self._device))
        return keys


class SharedTextKeys(TextKeys):
    """A key for each text in use, however many shots share it."""

    @property
    def rows(self) -> Column:
        return self._texts.of_shots

    def features(self) -> Callable[[Tensor], Tensor]:
        features = torch.tensor(self._texts.features)
        return lambda keys: features

    def load(self, references: Ints, features: Mapping[int, Floats], keys: Tensor) -> None:
        self._texts.load(references, features)
        self.index.add(self._keys(torch.tensor(self._texts.features)))

    def add(self, reference: int, feature: Floats | None, key: Tensor) -> None:
        if self._texts.add(reference, feature):
            self.index.add(self._keys(torch.tensor(self._texts.features[-1:])))

    def remove(self, shot: int) -> int | None:
        gone = self._texts.remove(shot)
        if gone is not None:
            self.index.remove(gone)
        return gone

    def replace(self, reference: int, feature: Floats, keys: Callable[[], Tensor]) -> None:
        row = self._texts.replace(reference, feature)
        if row is not None:
            self.index.replace([row], self._keys(torch.tensor(feature[None])))


class ShotTextKeys(TextKeys):
    """A key for each shot, made of its text and of its picture; see `Learned.text_feature`."""

    def __init__(self, index: KeyIndex, networks: Networks, device: torch.device) -> None:
        super().__init__(index, networks, device)
        self._numbers = Column(np.int64, device=device)

    @property
    def rows(self) -> Column:
        return self._numbers

    def features(self) -> Callable[[Tensor], Tensor]:
        texts, rows = self._texts.features.copy(), self._texts.of_shots.view.copy()
        return lambda keys: self._moved(texts[rows], keys)

    def load(self, references: Ints, features: Mapping[int, Floats], keys: Tensor) -> None:
        self._texts.load(references, features)
        self._numbers.append(np.arange(len(references)))
        self.index.add(self._keys(self.features()(keys)))

    def add(self, reference: int, feature: Floats | None, key: Tensor) -> None:
        self._texts.add(reference, feature)
        self._numbers.append(np.array([len(self._numbers)]))
        text = self._texts.features[self._texts.of_shots.view[-1:]]
        self.index.add(self._keys(self._moved(text, key)))

    def remove(self, shot: int) -> int | None:
        self._texts.remove(shot)
        self._numbers.remove(len(self._numbers) - 1)
        self.index.remove(shot)
        return shot

    def replace(self, reference: int, feature: Floats, keys: Callable[[], Tensor]) -> None:
        row = self._texts.replace(reference, feature)
        if row is not None:
            shots = np.flatnonzero(self._texts.of_shots.view == row).tolist()
            self.index.replace(shots, self._keys(self._moved(feature[None], keys()[shots])))

    def _moved(self, texts: Floats, keys: Tensor) -> Tensor:
        """(n, D) of texts (n, D), or one for all, and keys (n, D)."""
        return self._networks.learned.text_feature(torch.tensor(texts), keys)


def make_text_keys(index: KeyIndex, networks: Networks, device: torch.device) -> TextKeys:
    """An empty text cache of the form that these networks were trained for.

    Args:
        index: an empty one.
        networks: on `device`.
        device: where the keys are computed.
    """
    per_shot = networks.learned.text_key == "conditioned"
    return (ShotTextKeys if per_shot else SharedTextKeys)(index, networks, device)
