"""All shots in memory: both indices, and which class and text each of their rows belongs to.

It mirrors the store, and can be made from it again at any time. For one thread only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from adapter.support import SupportSet
from indexer.index import KeyIndex, Rows
from indexer.keys import TextKeys
from indexer.records import ClassRow, Floats, ShotRows


@dataclass(frozen=True)
class State:
    """What `Head.updated` wants to know; shapes as in `SupportSet`."""

    labels: tuple[str, ...]
    classifier: Tensor
    targets: Tensor
    text_rows: Tensor
    counts: Tensor
    means: Tensor


class Memory:
    """Classes, shots and texts by row. See the module.

    Attributes:
        image: index of the image keys.
        texts: the text keys.
    """

    def __init__(self, width: int, image: KeyIndex, texts: TextKeys) -> None:
        self.width = width
        self.image = image
        self.texts = texts
        self._classes: list[ClassRow] = []
        self._place: dict[str, int] = {}
        # By class: its row of the classifier, its shots, and the sum of their keys, in double so
        # that adding and taking away leave no trace.
        self._classifier = Rows(np.float32, width)
        self._counts = Rows(np.int64)
        self._totals = Rows(np.float64, width)
        self._ids: list[str] = []
        self._row_of: dict[str, int] = {}
        self._targets = Rows(np.int64)
        self._text_rows = Rows(np.int64)
        # Of each shot with a caption the caption's number, else -1.
        self._captions = Rows(np.int64)

    def load(self, classes: Iterable[ClassRow], shots: ShotRows, texts: dict[int, Floats]) -> None:
        """Fill an empty memory with all that a store has."""
        for row in classes:
            self.put_class(row)
        place = {each.id: at for at, each in enumerate(self._classes)}
        targets = np.array([place[number] for number in shots.class_ids.tolist()], dtype=np.int64)
        references = np.where(shots.text_ids > 0, shots.text_ids, -shots.class_ids)
        features = {-each.id: each.feature for each in self._classes} | texts
        self._text_rows.append(self.texts.load(references, features))
        self._targets.append(targets)
        self._captions.append(shots.text_ids)
        self._ids = list(shots.ids)
        self._row_of = {shot_id: at for at, shot_id in enumerate(shots.ids)}
        self.image.add(torch.tensor(shots.keys))
        self._counts.view[:] = np.bincount(targets, minlength=len(self._classes))
        for at in np.unique(targets).tolist():
            self._totals.view[at] = shots.keys[targets == at].sum(0, dtype=np.float64)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def class_count(self) -> int:
        """C."""
        return len(self._classes)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, oldest first."""
        return tuple(each.label for each in self._classes)

    def has_class(self, label: str) -> bool:
        """Whether there is such a class."""
        return label in self._place

    def shot_ids(self, rows: Iterable[int]) -> list[str]:
        """The shots at these rows of the image index."""
        return [self._ids[row] for row in rows]

    def put_class(self, row: ClassRow) -> None:
        """Add a class, or give one another text feature; its shots without caption follow."""
        at = self._place.get(row.label)
        if at is None:
            self._place[row.label] = len(self._classes)
            self._classes.append(row)
            self._classifier.append(row.feature[None])
            self._counts.append(np.array([0]))
            self._totals.append(np.zeros((1, self.width)))
            return
        self._classes[at] = row
        self._classifier.view[at] = row.feature
        swapped = self.texts.replace(-row.id, row.feature)
        if swapped is not None:
            first, second = swapped
            rows = self._text_rows.view
            was_first = rows == first
            rows[rows == second] = first
            rows[was_first] = second

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
            caption_feature: (D,), of a caption that no other shot has.
        """
        at = self._place[label]
        own = self._own_text(at)
        text_row = self.texts.acquire(*((caption, caption_feature) if caption > 0 else own))
        self._row_of[shot_id] = len(self._ids)
        self._ids.append(shot_id)
        self._targets.append(np.array([at]))
        self._captions.append(np.array([caption]))
        self._text_rows.append(np.array([text_row]))
        self.image.add(torch.tensor(key[None]))
        self._counts.view[at] += 1
        self._totals.view[at] += key

    def relabel(self, shot_id: str, label: str) -> None:
        """Move a shot to another class that there is."""
        row = self._row_of[shot_id]
        key = self.image.key(row).numpy()
        old, new = int(self._targets.view[row]), self._place[label]
        self._targets.view[row] = new
        for at, sign in ((old, -1), (new, 1)):
            self._counts.view[at] += sign
            self._totals.view[at] += sign * key
        if self._captions.view[row] < 0:
            text_row = int(self._text_rows.view[row])
            self._text_rows.view[row] = self.texts.acquire(*self._own_text(new))
            self._release(text_row)

    def forget(self, shot_id: str) -> None:
        """Remove a shot; the last row takes its place."""
        row = self._row_of.pop(shot_id)
        at = int(self._targets.view[row])
        self._counts.view[at] -= 1
        self._totals.view[at] -= self.image.key(row).numpy()
        text_row = int(self._text_rows.view[row])
        last = self._ids.pop()
        if last != shot_id:
            self._ids[row] = last
            self._row_of[last] = row
        for column in (self._targets, self._captions, self._text_rows):
            column.remove(row)
        self.image.remove(row)
        self._release(text_row)

    def delete_class(self, label: str) -> None:
        """Remove a class and its shots."""
        at = self._place[label]
        own = np.flatnonzero(self._targets.view == at)
        for shot_id in self.shot_ids(own.tolist()):
            self.forget(shot_id)
        del self._classes[at]
        for column in (self._classifier, self._counts, self._totals):
            column.close_up(at)
        self._place = {each.label: place for place, each in enumerate(self._classes)}
        self._targets.view[self._targets.view > at] -= 1

    def state(self, device: torch.device) -> State:
        """All of it but the keys, copied to `device`."""
        counts = self._counts.view
        means = self._totals.view / np.maximum(counts, 1)[:, None]
        return State(
            labels=self.labels,
            classifier=torch.tensor(self._classifier.view, device=device),
            targets=torch.tensor(self._targets.view, device=device),
            text_rows=torch.tensor(self._text_rows.view, device=device),
            counts=torch.tensor(counts, device=device),
            means=torch.tensor(means, dtype=torch.float32, device=device),
        )

    def support(self, logit_scale: float) -> SupportSet:
        """All of it, copied to the CPU."""
        state = self.state(torch.device("cpu"))
        return SupportSet(
            labels=state.labels,
            classifier=state.classifier,
            logit_scale=logit_scale,
            keys=self.image.keys(),
            targets=state.targets,
            texts=torch.tensor(self.texts.features),
            text_rows=state.text_rows,
        )

    def _own_text(self, at: int) -> tuple[int, Floats]:
        """Reference and feature of the text of a class's shots without caption."""
        return -self._classes[at].id, self._classes[at].feature

    def _release(self, text_row: int) -> None:
        moved = self.texts.release(text_row)
        if moved is not None:
            rows = self._text_rows.view
            rows[rows == moved] = text_row
