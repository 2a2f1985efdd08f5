"""The distinct texts of a cache, and which of them each shot has."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from indexer.columns import Column
from indexer.index import Rows
from indexer.records import Floats, Ints


class Texts:
    """A feature for each text in use, however many of the N shots share it.

    A text is known by a number of the caller's, its reference. Rows of texts, and shots, are
    numbered without gaps: where one goes, the last takes its place.

    Attributes:
        of_shots: (N,), the row of each shot's text.
    """

    def __init__(self, width: int, device: torch.device) -> None:
        """Begin empty; `width` is D, and `device` where `rows` are wanted."""
        self._features = Rows(np.float32, width)
        self._users = Rows(np.int64)
        self._references = Rows(np.int64)
        self._row_of: dict[int, int] = {}
        self.of_shots = Column(np.int64, device=device)

    def __len__(self) -> int:
        return len(self._features)

    @property
    def features(self) -> Floats:
        """(M, D): the text features t, by row. Void after the next change."""
        return self._features.view

    def load(self, references: Ints, features: Mapping[int, Floats]) -> None:
        """Fill the empty set for N shots at once.

        Args:
            references: (N,) of each shot's text.
            features: reference -> (D,), of all of them.
        """
        distinct, rows, users = np.unique(references, return_inverse=True, return_counts=True)
        self.of_shots.append(rows.astype(np.int64))
        if len(distinct):
            matrix = np.stack([features[reference] for reference in distinct.tolist()])
            self._append(distinct, matrix, users)

    def add(self, reference: int, feature: Floats | None) -> bool:
        """A shot more, the last one, has this text; whether none had it, so that it is appended.

        Args:
            reference: of the text.
            feature: (D,), needed for a text that no shot has. Raises KeyError without.
        """
        row, appended = self._acquire(reference, feature)
        self.of_shots.append(np.array([row]))
        return appended

    def remove(self, shot: int) -> int | None:
        """A shot goes; the row that went with it, if it alone had that text."""
        row = int(self.of_shots.view[shot])
        self.of_shots.remove(shot)
        return self._release(row)

    def replace(self, reference: int, feature: Floats) -> int | None:
        """Give a text another feature (D,); its row, None if no shot has the text."""
        row = self._row_of.get(reference)
        if row is not None:
            self._features.view[row] = feature
        return row

    def _acquire(self, reference: int, feature: Floats | None) -> tuple[int, bool]:
        row = self._row_of.get(reference)
        if row is not None:
            self._users.view[row] += 1
            return row, False
        if feature is None:
            raise KeyError(f"expected a feature for the unused text {reference}")
        self._append(np.array([reference]), feature[None], np.array([1]))
        return len(self) - 1, True

    def _release(self, row: int) -> int | None:
        self._users.view[row] -= 1
        if self._users.view[row]:
            return None
        last = len(self) - 1
        del self._row_of[int(self._references.view[row])]
        if row != last:
            self._row_of[int(self._references.view[last])] = row
            moved = np.flatnonzero(self.of_shots.view == last)
            self.of_shots.put(moved.tolist(), np.full_like(moved, row))
        for column in (self._features, self._users, self._references):
            column.remove(row)
        return row

    def _append(self, references: Ints, features: Floats, users: Ints) -> None:
        for offset, reference in enumerate(references.tolist()):
            self._row_of[reference] = len(self) + offset
        self._features.append(features)
        self._users.append(users)
        self._references.append(references)
