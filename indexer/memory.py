"""All shots in memory: both indices, and which class and text each of their rows belongs to.

Keys in the indices are as training moved them; what a fit sees, and class means, are the plain
features. It mirrors the store, and can be made from it again at any time. For one thread only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from adapter.gaussian import Distances
from adapter.learned import Learned
from adapter.support import SupportSet
from adapter.text_pairs import TextPairs
from indexer.columns import Column
from indexer.distances import MovingDistances
from indexer.index import KeyIndex, Rows
from indexer.keys import TextKeys
from indexer.pairs import PairCounts
from indexer.records import ClassRow, Delta, Floats, Ints, ShotRows


@dataclass(frozen=True)
class State:
    """What `Head.updated` wants to know, in views: the next change may write to them."""

    labels: tuple[str, ...]
    classifier: Tensor
    targets: Tensor
    text_rows: Tensor
    text_pairs: TextPairs
    counts: Tensor
    means: Tensor
    distances: Distances | None


class Memory:
    """Classes, shots and texts by row. See the module.

    Attributes:
        image: index of the image keys.
        texts: the text keys.
    """

    def __init__(
        self,
        width: int,
        image: KeyIndex,
        texts: TextKeys,
        learned: Learned,
        device: torch.device,
    ) -> None:
        """Begin empty.

        Args:
            width: D.
            image: an empty index.
            texts: empty, of the same networks.
            learned: what moves image keys and takes the place of classes' texts.
            device: where `state` is wanted.
        """
        self.width = width
        self.image = image
        self.texts = texts
        self._learned = learned
        # The plain keys, where the image index holds others.
        self._plain = Rows(np.float32, width) if learned.moves_keys else None
        self._classes: list[ClassRow] = []
        self._place: dict[str, int] = {}
        self._label_of: dict[int, str] = {}
        self._labels: tuple[str, ...] | None = None
        # By class: its row of the classifier, its shots, the sum of their keys, in double so that
        # adding and taking away leave no trace, and their mean as of the last `state`.
        self._classifier = Column(np.float32, width, device=device)
        self._counts = Column(np.int64, device=device)
        self._totals = Rows(np.float64, width)
        self._means = Column(np.float32, width, device=device)
        # Classes whose means are not what they were; None for all of them.
        self._moved: set[int] | None = None
        self._distances = MovingDistances()
        self._ids: list[str] = []
        self._row_of: dict[str, int] = {}
        self._targets = Column(np.int64, device=device)
        # Of each shot with a caption of its own in the text cache the caption's number, else -1.
        self._captions = Rows(np.int64)
        self._pairs = PairCounts(device)

    def load(self, classes: Iterable[ClassRow], shots: ShotRows, texts: dict[int, Floats]) -> None:
        """Fill an empty memory with all that a store has."""
        for row in classes:
            self.put_class(row)
        place = {each.id: at for at, each in enumerate(self._classes)}
        targets = np.array([place[number] for number in shots.class_ids.tolist()], dtype=np.int64)
        self._captions.append(self._captions_in_use(shots.text_ids))
        references = np.where(self._captions.view > 0, self._captions.view, -shots.class_ids)
        features = {-each.id: each.feature for each in self._classes} | texts
        keys = torch.from_numpy(shots.keys)
        self.texts.load(references, features, keys)
        self._targets.append(targets)
        self._ids = list(shots.ids)
        self._row_of = {shot_id: at for at, shot_id in enumerate(shots.ids)}
        labels = self.labels
        self._add_keys(keys, [labels[at] for at in targets.tolist()], shots.ids)
        self._pairs.load(targets, self.texts.rows.view)
        counts = np.bincount(targets, minlength=len(self._classes))
        self._counts.put(np.arange(len(counts)), counts)
        for at in np.unique(targets).tolist():
            self._totals.view[at] = shots.keys[targets == at].sum(0, dtype=np.float64)
        self._moved = None

    def apply(self, delta: Delta) -> None:
        """Have what the store has now, from what it had at the version that `delta` begins at."""
        for shot_id in delta.shots_gone:
            self.forget(shot_id)
        for label in delta.classes_gone:
            self.delete_class(label)
        for row in delta.classes:
            self.put_class(row)
        shots = delta.shots
        for at, shot_id in enumerate(shots.ids):
            caption = int(shots.text_ids[at])
            label = self._label_of[int(shots.class_ids[at])]
            self.add(shot_id, label, shots.keys[at], caption, delta.captions.get(caption))

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def class_count(self) -> int:
        """C."""
        return len(self._classes)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, oldest first: the same tuple until they change."""
        if self._labels is None:
            self._labels = tuple(each.label for each in self._classes)
        return self._labels

    def has_class(self, label: str) -> bool:
        """Whether there is such a class."""
        return label in self._place

    def shot_ids(self, rows: Iterable[int]) -> list[str]:
        """The shots at these rows of the image index."""
        return [self._ids[row] for row in rows]

    def put_class(self, row: ClassRow) -> None:
        """Add a class, or give one another text feature; its shots without caption follow.

        A class whose text feature was trained keeps that one.
        """
        trained = self._learned.class_features.get(row.label)
        if trained is not None:
            row = replace(row, feature=trained.numpy(force=True))
        at = self._place.get(row.label)
        if at is None:
            self._append_class(row)
            return
        self._classes[at] = row
        self._classifier.put([at], row.feature)
        self.texts.replace(-row.id, row.feature, self.keys)

    def add(
        self,
        shot_id: str,
        label: str,
        key: Floats,
        caption: int = -1,
        caption_feature: Floats | None = None,
    ) -> None:
        """Append a shot of a class that there is.

        Args:
            shot_id: its id.
            label: of the class.
            key: (D,) unit.
            caption: the caption's number, -1 for a shot without one.
            caption_feature: (D,), needed for a caption that no other shot has.
        """
        at = self._place[label]
        [caption] = self._captions_in_use(np.array([caption])).tolist()
        text = (caption, caption_feature) if caption > 0 else self._own_text(at)
        plain = torch.tensor(key[None])
        self.texts.add(*text, plain)
        self._row_of[shot_id] = len(self._ids)
        self._ids.append(shot_id)
        self._targets.append(np.array([at]))
        self._captions.append(np.array([caption]))
        self._pairs.add(at, int(self.texts.rows.view[-1]))
        self._add_keys(plain, [label], [shot_id])
        self._count(at, 1, key)

    def forget(self, shot_id: str) -> None:
        """Remove a shot; the last row takes its place."""
        row = self._row_of.pop(shot_id)
        at = int(self._targets.view[row])
        self._count(at, -1, self._key(row)[0].numpy())
        last = self._ids.pop()
        if last != shot_id:
            self._ids[row] = last
            self._row_of[last] = row
        for column in (self._targets, self._captions):
            column.remove(row)
        if self._plain is not None:
            self._plain.remove(row)
        self.image.remove(row)
        self._pairs.remove(at, int(self.texts.rows.view[row]))
        gone = self.texts.remove(row)
        if gone is not None:
            self._pairs.renumber(len(self.texts.index), gone)

    def delete_class(self, label: str) -> None:
        """Remove a class and its shots."""
        at = self._place[label]
        own = np.flatnonzero(self._targets.view == at)
        for shot_id in self.shot_ids(own.tolist()):
            self.forget(shot_id)
        del self._label_of[self._classes[at].id]
        del self._classes[at]
        for column in (self._classifier, self._counts, self._totals, self._means):
            column.close_up(at)
        self._place = {each.label: place for place, each in enumerate(self._classes)}
        self._labels = self._moved = None
        later = np.flatnonzero(self._targets.view > at)
        self._targets.put(later, self._targets.view[later] - 1)
        self._pairs.load(self._targets.view, self.texts.rows.view)

    def keys(self) -> Tensor:
        """(N, D): a copy of the plain keys on the CPU, in row order."""
        return self.image.keys() if self._plain is None else torch.tensor(self._plain.view)

    def state(self, precision: Tensor | None = None) -> State:
        """All of it but the keys, brought up to date where it has changed.

        Args:
            precision: (D, D), of the Gaussian term; None for no distances.
        """
        moved = self._move_means()
        if precision is None:
            # Distances that miss a move would not know which of their rows are out of date.
            self._distances = MovingDistances()
        return State(
            labels=self.labels,
            classifier=self._classifier.tensor,
            targets=self._targets.tensor,
            text_rows=self.texts.rows.tensor,
            text_pairs=self._pairs.pairs(len(self.texts.index)),
            counts=self._counts.tensor,
            means=self._means.tensor,
            distances=(
                None
                if precision is None
                else self._distances.to(self._means.tensor, precision, moved)
            ),
        )

    def support(self, logit_scale: float, keys: Tensor | None = None) -> SupportSet:
        """All of it, copied to the CPU, with keys as they were before any training.

        Args:
            logit_scale: the encoder's.
            keys: (N, D) those keys in row order, where they are at hand; not copied then.
        """
        keys = self.keys() if keys is None else keys
        return SupportSet(
            labels=self.labels,
            classifier=torch.tensor(self._classifier.view),
            logit_scale=logit_scale,
            keys=keys,
            targets=torch.tensor(self._targets.view),
            texts=self.texts.features(lambda: keys),
            text_rows=torch.tensor(self.texts.rows.view),
        )

    def _move_means(self) -> list[int] | None:
        """Compute the class means again that are not what they were; which, None for all."""
        moved = None if self._moved is None else sorted(self._moved)
        rows = np.array(range(len(self._classes)) if moved is None else moved, dtype=np.int64)
        counts = np.maximum(self._counts.view[rows], 1)
        self._means.put(rows, self._totals.view[rows] / counts[:, None])
        self._moved = set()
        return moved

    def _append_class(self, row: ClassRow) -> None:
        self._place[row.label] = at = len(self._classes)
        self._label_of[row.id] = row.label
        self._labels = None
        self._classes.append(row)
        self._classifier.append(row.feature[None])
        self._counts.append(np.array([0]))
        self._totals.append(np.zeros((1, self.width)))
        self._means.append(np.zeros((1, self.width), np.float32))
        if self._moved is not None:
            self._moved.add(at)

    def _count(self, at: int, shots: int, key: Floats) -> None:
        """Have a class a shot more, or less, with this key (D,)."""
        self._counts.put([at], self._counts.view[at] + shots)
        self._totals.view[at] += shots * key
        if self._moved is not None:
            self._moved.add(at)

    def _own_text(self, at: int) -> tuple[int, Floats]:
        """Reference and feature of the text of a class's shots without caption."""
        return -self._classes[at].id, self._classes[at].feature

    def _captions_in_use(self, captions: Ints) -> Ints:
        """(n,): the captions that text keys are made of; -1 where it is the class's text."""
        by_class = self._learned.text_key == "class"
        return np.full_like(captions, -1) if by_class else captions

    def _add_keys(self, keys: Tensor, labels: Sequence[str], shot_ids: Sequence[str]) -> None:
        """Append plain keys (n, D), and to the index what training makes of them."""
        if self._plain is not None:
            self._plain.append(keys.numpy())
        self.image.add(self._learned.image_keys(keys, labels, shot_ids))

    def _key(self, row: int) -> Tensor:
        """(1, D): a plain key."""
        if self._plain is None:
            return self.image.key(row)[None]
        return torch.tensor(self._plain.view[row : row + 1])
