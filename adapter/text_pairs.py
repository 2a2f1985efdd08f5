"""Which texts the shots of which class have, each such pair once: what text evidence sums over."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TextPairs:
    """The P distinct pairs of a class and a text that shots have, in any order.

    Exact, and few where shots share their class's text: P is then C, however many shots there are.

    Attributes:
        classes: (P,) int64, row of the class.
        texts: (P,) int64, row of the text.
        counts: (P,) shots of each pair, as floating numbers to weigh affinities with.
        texts_in_use: M: all of `texts` are below it.
    """

    classes: Tensor
    texts: Tensor
    counts: Tensor
    texts_in_use: int

    @classmethod
    def of(
        cls, targets: Tensor, text_rows: Tensor, dtype: torch.dtype = torch.float32
    ) -> TextPairs:
        """Count the pairs of N shots, in O(N log N).

        Args:
            targets: (N,) int64, each shot's class.
            text_rows: (N,) int64, each shot's text.
            dtype: of `counts`.
        """
        texts = int(text_rows.max()) + 1 if len(text_rows) else 0
        # One integer a pair: unique rows of a matrix cost many times as much.
        pairs, counts = torch.unique(targets * texts + text_rows, return_counts=True)
        each = max(texts, 1)
        return cls(pairs // each, pairs % each, counts.to(dtype), texts)
