"""All shots in memory: both indices, and which class and text each of their rows belongs to.

Keys in the indices are as training moved them; what a fit sees, and class means, are the plain
features, which nobody but the store holds where they are others. It mirrors the store, and can be
made from it again at any time. For one thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
from indexer.plain_keys import keys_of
from indexer.records import ClassRow, Delta, Floats, Ints, ShotRows

PART = 8192
"""Keys that are summed at once."""


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
        stored: Callable[[], ShotRows],
    ) -> None:
        """Begin empty.

        Args:
            width: D.
            image: an empty index.
            texts: empty, of the same networks.
            learned: what moves image keys and takes the place of classes' texts.
            device: of `state`.
            stored: the store's shots now, on any thread; asked only where `learned` moves keys.
        """
        self.width, self.image, self.texts = width, image, texts
        self._learned, self._stored = learned, stored
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
        totals = torch.from_numpy(self._totals.view)
        # By parts: in double, all keys would take twice their memory.
        for start in range(0, len(targets), PART):
            own = torch.from_numpy(targets[start : start + PART])
            totals.index_add_(0, own, keys[start : start + PART].double())
        self._moved = None

    def apply(self, delta: Delta) -> None:
        """Have what the store has now, from what it had at the version that `delta` begins at."""
        for shot_id, key in zip(delta.shots_gone.ids, delta.shots_gone.keys, strict=True):
            self.forget(shot_id, key)
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
        own = self._classes[at]
        text = (caption, caption_feature) if caption > 0 else (-own.id, own.feature)
        plain = torch.tensor(key[None])
        self.texts.add(*text, plain)
        self._row_of[shot_id] = len(self._ids)
        self._ids.append(shot_id)
        self._targets.append(np.array([at]))
        self._captions.append(np.array([caption]))
        self._pairs.add(at, int(self.texts.rows.view[-1]))
        self._add_keys(plain, [label], [shot_id])
        self._count(at, 1, key)

    def forget(self, shot_id: str, key: Floats) -> None:
        """Remove a shot, whose plain key (D,) was this; the last row takes its place."""
        self._count(self._remove(shot_id), -1, key)

    def _remove(self, shot_id: str) -> int:
        """Remove a shot but from its class's sums; its class."""
        row = self._row_of.pop(shot_id)
        at = int(self._targets.view[row])
        last = self._ids.pop()
        if last != shot_id:
            self._ids[row] = last
            self._row_of[last] = row
        for column in (self._targets, self._captions):
            column.remove(row)
        self.image.remove(row)
        self._pairs.remove(at, int(self.texts.rows.view[row]))
        gone = self.texts.remove(row)
        if gone is not None:
            self._pairs.renumber(len(self.texts.index), gone)
        return at

    def delete_class(self, label: str) -> None:
        """Remove a class and its shots."""
        at = self._place[label]
        own = np.flatnonzero(self._targets.view == at)
        for shot_id in self.shot_ids(own.tolist()):
            self._remove(shot_id)
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
        """(N, D): a copy of the plain keys on the CPU, in row order.

        Where they are not held here, those of shots that the store has no more are zeros.
        """
        if not self._learned.moves_keys:
            return self.image.keys()
        return keys_of(self._stored(), self._ids)[0]

    def state(self, precision: Tensor | None = None) -> State:
        """All of it but the keys, brought up to date where it has changed.

        Args:
            precision: (D, D), of the Gaussian term; None for no distances.
        """
        moved = self._move_means()
        distances = None
        if precision is not None:
            distances = self._distances.to(self._means.tensor, precision, moved)
        else:
            # Those that miss a move would not know which of their rows are out of date.
            self._distances = MovingDistances()
        return State(
            labels=self.labels,
            classifier=self._classifier.tensor,
            targets=self._targets.tensor,
            text_rows=self.texts.rows.tensor,
            text_pairs=self._pairs.pairs(len(self.texts.index)),
            counts=self._counts.tensor,
            means=self._means.tensor,
            distances=distances,
        )

    def support(self, logit_scale: float, keys: Tensor | None = None) -> Callable[[], SupportSet]:
        """All of it, with keys as they were before any training.

        Args:
            logit_scale: the encoder's.
            keys: (N, D) those keys in row order, where they are at hand; not copied then.

        Returns:
            What gives a copy on the CPU of what there is now: on any thread, at any time. Shots
            that the store has lost meanwhile are missing where it has to be asked for their keys.
        """
        if keys is None and not self._learned.moves_keys:
            keys = self.keys()
        ids, stored, features = list(self._ids), self._stored, self.texts.features()
        labels, classifier = self.labels, torch.tensor(self._classifier.view)
        targets = torch.tensor(self._targets.view)
        text_rows = torch.tensor(self.texts.rows.view)

        def made() -> SupportSet:
            if keys is not None:
                found, there = keys, torch.ones(len(keys), dtype=torch.bool)
            else:
                found, there = keys_of(stored(), ids)
            texts = features(found)
            if not bool(there.all()):
                found = found[there]
            return SupportSet(
                labels=labels,
                classifier=classifier,
                logit_scale=logit_scale,
                keys=found,
                targets=targets[there],
                texts=texts,
                text_rows=text_rows[there],
            )

        return made

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

    def _captions_in_use(self, captions: Ints) -> Ints:
        """(n,): the captions that text keys are made of; -1 where it is the class's text."""
        by_class = self._learned.text_key == "class"
        return np.full_like(captions, -1) if by_class else captions

    def _add_keys(self, keys: Tensor, labels: Sequence[str], shot_ids: Sequence[str]) -> None:
        """Append to the index what training makes of plain keys (n, D)."""
        self.image.add(self._learned.image_keys(keys, labels, shot_ids))
