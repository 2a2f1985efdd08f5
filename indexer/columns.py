"""Columns of a table whose rows come and go, kept in memory and on the device that answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from indexer.index import Rows
from indexer.records import Ints


class Column(Rows):
    """`Rows` that a device has too.

    On the CPU the tensor is the very memory of the rows. Elsewhere it is a copy that is brought up
    to date when it is asked for: what was appended in one piece, and what was written in another,
    however many changes there were. It grows with the rows, by doubling.
    """

    def __init__(
        self,
        dtype: type[np.generic],
        *shape: int,
        device: torch.device,
        copied: bool | None = None,
    ) -> None:
        """Begin empty.

        Args:
            dtype: of the numbers.
            shape: of a row.
            device: where `tensor` is.
            copied: whether it is a copy; where None, unless the device is the CPU.
        """
        super().__init__(dtype, *shape)
        self._device = device
        self._copy: Tensor | None = None
        if device.type != "cpu" if copied is None else copied:
            self._copy = torch.from_numpy(self._buffer).to(device, copy=True)
        # What the copy lacks: some rows, and all from this one on.
        self._written: set[int] = set()
        self._end = 0

    @property
    def tensor(self) -> Tensor:
        """The rows in use. A view: the next change may write to it, or leave it behind."""
        if self._copy is None:
            return torch.from_numpy(self._buffer)[: self._count]
        return self._updated(self._copy)[: self._count]

    def put(self, rows: Sequence[int] | Ints, values: NDArray[Any]) -> None:
        """Write to rows that there are."""
        places = np.asarray(rows, dtype=np.int64)
        self._buffer[places] = values
        if self._copy is not None:
            self._written.update(places.tolist())

    def remove(self, row: int) -> None:
        """Let the last row take the place of this one."""
        super().remove(row)
        if self._copy is not None:
            self._written.add(row)
        self._end = min(self._end, self._count)

    def close_up(self, row: int) -> None:
        """Remove a row and keep the order of the others."""
        super().close_up(row)
        self._end = min(self._end, row)

    def clear(self) -> None:
        """Remove all rows."""
        self._count = self._end = 0

    def _updated(self, copy: Tensor) -> Tensor:
        """The copy with all that it lacks."""
        if len(copy) < len(self._buffer):
            grown = copy.new_empty(self._buffer.shape)
            grown[: self._end] = copy[: self._end]
            self._copy = copy = grown
        written = sorted(row for row in self._written if row < self._end)
        if written:
            rows = torch.tensor(written, device=self._device)
            copy[rows] = torch.from_numpy(self._buffer[written]).to(self._device)
        if self._end < self._count:
            copy[self._end : self._count] = torch.from_numpy(self.view[self._end :])
        self._written.clear()
        self._end = self._count
        return copy
