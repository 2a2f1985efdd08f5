"""Where keys are searched: one small protocol, its reference in NumPy, and the choice of a kind.

Queries are unit rows, and so are keys unless training moved them, so that an inner product is a
cosine. Rows are numbered without gaps: removing one gives its number to the last, so that whoever
keeps facts about rows beside an index does the same swap. The FAISS kinds are in
`indexer.faiss_index`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapter.head import Hits
from indexer.errors import IndexUnavailable

IndexKind = Literal["auto", "numpy", "faiss-flat", "faiss-ivf", "faiss-gpu"]
"""`auto`: exact, on the GPU where the encoder is on one, else in FAISS on the CPU."""


class KeyIndex(Protocol):
    """Keys (N, width) by row.

    Attributes:
        kind: which implementation it is.
        exact: whether `similarities` is there; `search` is exact too, then.
        width: of a key.
    """

    kind: str
    exact: bool
    width: int

    def __len__(self) -> int:
        """N."""

    def add(self, keys: Tensor) -> None:
        """Append rows (n, width). Raises ValueError for another shape."""

    def remove(self, row: int) -> None:
        """Drop a row; the last one takes its place. Raises IndexError."""

    def replace(self, rows: Sequence[int], keys: Tensor) -> None:
        """Give distinct rows other keys (n, width). Raises IndexError or ValueError."""

    def keys(self) -> Tensor:
        """(N, width): a copy on the CPU, in row order."""

    def key(self, row: int) -> Tensor:
        """(width,): a copy of one key on the CPU. Raises IndexError."""

    def similarities(self, queries: Tensor) -> Tensor:
        """(B, N): inner products of queries (B, width) with all keys, on the queries' device.

        Raises IndexUnavailable where the index is not exact.
        """

    def search(self, queries: Tensor, k: int) -> Hits:
        """The k largest inner products of each query, best first; all N of them where k > N.

        Which of several equal ones come first, or at all, is left open.
        """


class Rows:
    """A NumPy array that grows by doubling."""

    def __init__(self, dtype: type[np.generic], *shape: int) -> None:
        self._buffer: NDArray[Any] = np.zeros((0, *shape), dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def view(self) -> NDArray[Any]:
        """The rows in use. Not a copy, and void after the next change."""
        return self._buffer[: self._count]

    def append(self, rows: NDArray[Any]) -> None:
        """Add (n, *shape) at the end."""
        count = self._count + len(rows)
        if count > len(self._buffer):
            shape = (max(count, 2 * len(self._buffer)), *self._buffer.shape[1:])
            grown = np.zeros(shape, self._buffer.dtype)
            grown[: self._count] = self.view
            self._buffer = grown
        self._buffer[self._count : count] = rows
        self._count = count

    def remove(self, row: int) -> None:
        """Let the last row take the place of this one."""
        check_row(row, self._count)
        self._buffer[row] = self._buffer[self._count - 1]
        self._count -= 1

    def close_up(self, row: int) -> None:
        """Remove a row and keep the order of the others."""
        check_row(row, self._count)
        self.view[row:-1] = self.view[row + 1 :]
        self._count -= 1


class NumpyIndex:
    """The reference: a matrix product and a sort."""

    kind = "numpy"
    exact = True

    def __init__(self, width: int) -> None:
        self.width = width
        self._rows = Rows(np.float32, width)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, keys: Tensor) -> None:
        check_keys(keys, self.width)
        self._rows.append(keys.numpy(force=True))

    def remove(self, row: int) -> None:
        self._rows.remove(row)

    def replace(self, rows: Sequence[int], keys: Tensor) -> None:
        check_replacement(rows, keys, len(self), self.width)
        self._rows.view[list(rows)] = keys.numpy(force=True)

    def keys(self) -> Tensor:
        return torch.from_numpy(self._rows.view.copy())

    def key(self, row: int) -> Tensor:
        check_row(row, len(self))
        return torch.from_numpy(self._rows.view[row].copy())

    def similarities(self, queries: Tensor) -> Tensor:
        check_keys(queries, self.width)
        return torch.from_numpy(queries.numpy(force=True) @ self._rows.view.T).to(queries.device)

    def search(self, queries: Tensor, k: int) -> Hits:
        similarity = self.similarities(queries).numpy(force=True)
        # Stable, so that of equal ones the lower row comes first.
        rows = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(similarity, rows, axis=1)
        return Hits(
            torch.from_numpy(best).to(queries.device), torch.from_numpy(rows).to(queries.device)
        )


def make_index(
    width: int,
    kind: IndexKind = "auto",
    device: torch.device | str = "cpu",
    centroids: Tensor | None = None,
) -> KeyIndex:
    """An empty index.

    Args:
        width: of a key.
        kind: see `IndexKind`.
        device: where the queries come from; `auto` goes by it, and "faiss-gpu" lives there.
        centroids: (lists, width), of `faiss-ivf` alone: see `indexer.faiss_index.train`.

    Raises:
        IndexUnavailable: a GPU index where there is no GPU.
        ValueError: no such kind.
    """
    # Here, since FAISS is slow to import and nothing else needs it.
    from indexer import faiss_index
    from indexer.gpu_index import GpuIndex

    place = torch.device(device)
    if kind == "auto":
        kind = "faiss-gpu" if place.type == "cuda" else "faiss-flat"
    if kind == "numpy":
        return NumpyIndex(width)
    if kind == "faiss-flat":
        return faiss_index.FaissFlatIndex(width)
    if kind == "faiss-ivf":
        return faiss_index.FaissIvfIndex(width, centroids)
    if kind == "faiss-gpu":
        if place.type != "cuda" or not torch.cuda.is_available():
            raise IndexUnavailable(
                f"expected a CUDA device for faiss-gpu, got {place}: choose faiss-flat, or auto"
            )
        return GpuIndex(width, place)
    raise ValueError(f"expected one of {', '.join(get_args(IndexKind))}, got {kind!r}")


def check_keys(keys: Tensor, width: int) -> None:
    """Raise ValueError unless `keys` is (n, width)."""
    if keys.ndim != 2 or keys.shape[1] != width:
        raise ValueError(f"expected rows of shape (n, {width}), got {tuple(keys.shape)}")


def check_row(row: int, count: int) -> None:
    """Raise IndexError unless there is such a row."""
    if not 0 <= row < count:
        raise IndexError(f"expected a row from 0 to {count - 1}, got {row}")


def check_replacement(rows: Sequence[int], keys: Tensor, count: int, width: int) -> None:
    """Raise IndexError or ValueError unless there are such rows, and a key (width,) for each."""
    check_keys(keys, width)
    for row in rows:
        check_row(row, count)
    if len(keys) != len(rows):
        raise ValueError(f"expected a key a row, got {len(keys)} keys for {len(rows)} rows")
