"""Distances to class means that move with the shots, a few at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adapter.gaussian import Distances


class MovingDistances:
    """`Distances` under one precision at a time, whose rows are computed again one by one.

    All of them anew would cost C x D x D for each shot that is added.
    """

    def __init__(self) -> None:
        self._precision: Tensor | None = None
        self._weights = torch.zeros(0, 0)
        self._bias = torch.zeros(0)

    def to(self, means: Tensor, precision: Tensor, moved: Sequence[int] | None) -> Distances:
        """Those to `means` (C, D) under `precision` (D, D), in views that the next call writes to.

        Args:
            means: of all classes.
            precision: the same tensor as before where it has not changed.
            moved: rows of the means that are not what they were at the last call; None for all.
        """
        count = len(means)
        if precision is not self._precision or moved is None:
            made = Distances.to(means, precision)
            self._precision, self._weights, self._bias = precision, made.weights, made.bias
        elif moved:
            if count > len(self._bias):
                size = max(count, 2 * len(self._bias))
                self._weights, self._bias = _grown(self._weights, size), _grown(self._bias, size)
            rows = torch.tensor(moved, device=means.device)
            made = Distances.to(means[rows], precision)
            self._weights[rows], self._bias[rows] = made.weights, made.bias
        return Distances(precision, self._weights[:count], self._bias[:count])


def _grown(rows: Tensor, size: int) -> Tensor:
    grown = rows.new_zeros(size, *rows.shape[1:])
    grown[: len(rows)] = rows
    return grown
