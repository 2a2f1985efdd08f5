"""How many shots of each class have each text, as shots come and go."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

from adapter.text_pairs import TextPairs
from indexer.columns import Column
from indexer.records import Ints

Number = TypeVar("Number", int, Ints)


class PairCounts:
    """The distinct (class, text) pairs of all shots, each with its count, in columns."""

    def __init__(self, device: torch.device) -> None:
        """Begin empty; `device` is where the pairs are wanted."""
        self._classes = Column(np.int64, device=device)
        self._texts = Column(np.int64, device=device)
        self._counts = Column(np.float32, device=device)
        self._row_of: dict[int, int] = {}

    def load(self, targets: Ints, text_rows: Ints) -> None:
        """Count those of N shots, instead of all that there were.

        Args:
            targets: (N,) row of each shot's class.
            text_rows: (N,) row of its text.
        """
        pairs, counts = np.unique(_key(targets, text_rows), return_counts=True)
        columns = (self._classes, self._texts, self._counts)
        for column, values in zip(columns, (*_parts(pairs), counts), strict=True):
            column.clear()
            column.append(values)
        self._row_of = {pair: row for row, pair in enumerate(pairs.tolist())}

    def add(self, target: int, text: int) -> None:
        """A shot more, of the class at the row `target`, with the text at the row `text`."""
        pair = _key(target, text)
        row = self._row_of.get(pair)
        if row is not None:
            self._counts.put([row], self._counts.view[row] + 1)
            return
        self._row_of[pair] = len(self._counts)
        self._classes.append(np.array([target]))
        self._texts.append(np.array([text]))
        self._counts.append(np.array([1]))

    def remove(self, target: int, text: int) -> None:
        """A shot less; arguments as in `add`."""
        row = self._row_of[_key(target, text)]
        if self._counts.view[row] > 1:
            self._counts.put([row], self._counts.view[row] - 1)
            return
        last = len(self._counts) - 1
        self._row_of[_key(int(self._classes.view[last]), int(self._texts.view[last]))] = row
        del self._row_of[_key(target, text)]
        for column in (self._classes, self._texts, self._counts):
            column.remove(row)

    def renumber(self, text: int, row: int) -> None:
        """The text at the row `text` is at `row` from now on, where there is none."""
        for pair in np.flatnonzero(self._texts.view == text).tolist():
            target = int(self._classes.view[pair])
            del self._row_of[_key(target, text)]
            self._row_of[_key(target, row)] = pair
            self._texts.put([pair], np.array([row]))

    def pairs(self, texts: int) -> TextPairs:
        """Views of the columns, void after the next change; `texts` is how many texts there are."""
        return TextPairs(self._classes.tensor, self._texts.tensor, self._counts.tensor, texts)


def _key(target: Number, text: Number) -> Number:
    """One integer for a pair: what a dictionary holds of tuples takes three times the memory."""
    return (target << 32) + text


def _parts(keys: Ints) -> tuple[Ints, Ints]:
    return keys >> 32, keys & 0xFFFFFFFF
