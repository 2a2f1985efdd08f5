"""Keys on a GPU: exact up to half precision, in memory that is there before they come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from adapter.head import Hits
from adapter.nearest import nearest
from indexer.index import Rows, check_keys, check_replacement, check_row


class GpuIndex:
    """All keys in one tensor on a device: every similarity, in one matrix product.

    FAISS's own GPU indices copy everything on each add and cannot remove. Here an add writes a
    slice of memory that grows by doubling. What is multiplied is in half precision, off by 2^-11
    of a key's and a query's numbers at most, and added up in single precision; the keys as they
    came are kept in the host's memory, for `keys` and `key`. For one thread only.
    """

    kind = "faiss-gpu"
    exact = True

    def __init__(self, width: int, device: torch.device | str = "cuda", reserve: int = 0) -> None:
        """Make an empty index.

        Args:
            width: of a key.
            device: where queries are multiplied; any that torch has.
            reserve: keys to have memory for, at 2 bytes a number.
        """
        self.width = width
        self._buffer = torch.empty(reserve, width, dtype=torch.float16, device=device)
        self._keys = Rows(np.float32, width)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, keys: Tensor) -> None:
        check_keys(keys, self.width)
        begin, end = len(self), len(self) + len(keys)
        if end > len(self._buffer):
            grown = self._buffer.new_empty(max(end, 2 * len(self._buffer)), self.width)
            grown[:begin] = self._buffer[:begin]
            self._buffer = grown
        self._buffer[begin:end] = keys.to(self._buffer)
        self._keys.append(keys.numpy(force=True))

    def remove(self, row: int) -> None:
        check_row(row, len(self))
        self._buffer[row] = self._buffer[len(self) - 1]
        self._keys.remove(row)

    def replace(self, rows: Sequence[int], keys: Tensor) -> None:
        check_replacement(rows, keys, len(self), self.width)
        if rows:
            self._buffer[torch.tensor(rows, device=self._buffer.device)] = keys.to(self._buffer)
            self._keys.view[list(rows)] = keys.numpy(force=True)

    def keys(self) -> Tensor:
        return torch.from_numpy(self._keys.view.copy())

    def key(self, row: int) -> Tensor:
        check_row(row, len(self))
        return torch.from_numpy(self._keys.view[row].copy())

    def similarities(self, queries: Tensor) -> Tensor:
        check_keys(queries, self.width)
        halves = self._buffer[: len(self)]
        by_key = summed_in_single(halves, queries.to(halves).T)
        return by_key.T.to(queries.device)

    def search(self, queries: Tensor, k: int) -> Hits:
        return Hits(*nearest(self.similarities(queries), k))


def summed_in_single(left: Tensor, right: Tensor) -> Tensor:
    """(n, m) float32: the product of two half-precision matrices (n, d) and (d, m).

    Exact products, added up in single precision: in half precision a cosine near 1 would be off
    by 2^-11, and its affinity at a sharpness of 40 by 2 %.
    """
    if left.is_cuda:
        # Tensor cores do both at once. torch knows this form on CUDA alone.
        return torch.mm(left, right, out_dtype=torch.float32)
    return left.float() @ right.float()
