"""Keys in FAISS: exact on the CPU, exact on the GPU, and inverted lists for large caches.

An index is never read from a file: keys come from the store, and the one thing that is dear to
compute, the centroids of the inverted lists, is a plain matrix (`indexer.centroids`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

import faiss as faiss_module
import numpy as np
import torch
from torch import Tensor

from adapter.head import Hits
from indexer.errors import IndexUnavailable
from indexer.index import check_keys, check_replacement, check_row
from indexer.records import Floats, Ints

# Its own type hints, where a version has any, lack parts that are used here.
faiss: Any = faiss_module

GPU_LARGEST_K = 2048
"""What FAISS's GPU kernels select at most."""

KEYS_A_LIST = 39
"""FAISS warns of centroids trained on fewer points each."""

LARGEST_LISTS = 4096
TRAINING_ROUNDS = 10
LEAST_PROBES = 8


class FaissFlatIndex:
    """All keys in one matrix on the CPU: exact."""

    kind = "faiss-flat"
    exact = True

    def __init__(self, width: int) -> None:
        self.width = width
        self._index = faiss.IndexFlatIP(width)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, keys: Tensor) -> None:
        check_keys(keys, self.width)
        self._index.add(_array(keys))

    def remove(self, row: int) -> None:
        last = len(self) - 1
        check_row(row, last + 1)
        view = self._view()
        view[row] = view[last]
        # FAISS closes a gap by moving all rows after it; at the end there are none.
        self._index.remove_ids(faiss.IDSelectorRange(last, last + 1))

    def replace(self, rows: Sequence[int], keys: Tensor) -> None:
        check_replacement(rows, keys, len(self), self.width)
        self._view()[list(rows)] = _array(keys)

    def keys(self) -> Tensor:
        return torch.from_numpy(self._view().copy())

    def key(self, row: int) -> Tensor:
        check_row(row, len(self))
        return torch.from_numpy(self._view()[row].copy())

    def similarities(self, queries: Tensor) -> Tensor:
        check_keys(queries, self.width)
        # This way round, since what follows goes key by key, and the product is quicker too.
        by_key = torch.from_numpy(self._view()) @ queries.cpu().T
        return by_key.T.to(queries.device)

    def search(self, queries: Tensor, k: int) -> Hits:
        check_keys(queries, self.width)
        if not (k := min(k, len(self))):
            return _no_hits(queries)
        similarity, rows = self._index.search(_array(queries), k)
        return _hits(similarity, rows, queries.device)

    def _view(self) -> Floats:
        """(N, width): the index's own memory, valid until the next change."""
        if not len(self):
            return np.zeros((0, self.width), np.float32)
        flat: Floats = faiss.rev_swig_ptr(self._index.get_xb(), len(self) * self.width)
        return flat.reshape(-1, self.width)


class FaissIvfIndex:
    """Keys in lists around trained centroids; a search looks into the nearest lists only.

    Not exact: the sum over all shots cannot be had, only the k nearest that were found. For
    caches of hundreds of thousands of shots.
    """

    kind = "faiss-ivf"
    exact = False

    def __init__(
        self, width: int, centroids: Tensor | None = None, probes: int | None = None
    ) -> None:
        """Make an empty index.

        Args:
            width: of a key.
            centroids: (lists, width) from `train`; without them there is one list, and every
                search looks at all keys.
            probes: how many lists a search looks into; an eighth of them by default.
        """
        self.width = width
        if centroids is None:
            centroids = torch.zeros(1, width)
        check_keys(centroids, width)
        self.lists = len(centroids)
        self.probes = min(self.lists, probes or max(LEAST_PROBES, self.lists // 8))
        # A quantiser that holds all centroids makes the index count as trained.
        self._quantiser = faiss.IndexFlatIP(width)
        self._quantiser.add(_array(centroids))
        metric = faiss.METRIC_INNER_PRODUCT
        self._index = faiss.IndexIVFFlat(self._quantiser, width, self.lists, metric)
        # Finds a key by its row without a walk through all lists.
        self._index.set_direct_map_type(faiss.DirectMap.Hashtable)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, keys: Tensor) -> None:
        check_keys(keys, self.width)
        rows = np.arange(len(self), len(self) + len(keys), dtype=np.int64)
        self._index.add_with_ids(_array(keys), rows)

    def remove(self, row: int) -> None:
        last = len(self) - 1
        check_row(row, last + 1)
        moved = self._index.reconstruct(last)
        gone = np.unique(np.array([row, last], dtype=np.int64))
        self._index.remove_ids(faiss.IDSelectorArray(len(gone), faiss.swig_ptr(gone)))
        if row != last:
            self._index.add_with_ids(moved[None], np.array([row], dtype=np.int64))

    def replace(self, rows: Sequence[int], keys: Tensor) -> None:
        check_replacement(rows, keys, len(self), self.width)
        numbers = np.array(rows, dtype=np.int64)
        self._index.remove_ids(faiss.IDSelectorArray(len(numbers), faiss.swig_ptr(numbers)))
        self._index.add_with_ids(_array(keys), numbers)

    def keys(self) -> Tensor:
        if not len(self):
            return torch.zeros(0, self.width)
        return torch.from_numpy(self._index.reconstruct_n(0, len(self)))

    def key(self, row: int) -> Tensor:
        check_row(row, len(self))
        return torch.from_numpy(self._index.reconstruct(row))

    def similarities(self, queries: Tensor) -> Tensor:
        raise IndexUnavailable(
            "an index of inverted lists gives the similarities of the nearest keys only: use "
            "search(), or an exact kind of index"
        )

    def search(self, queries: Tensor, k: int) -> Hits:
        check_keys(queries, self.width)
        if not (k := min(k, len(self))):
            return _no_hits(queries)
        similarity, rows = self._search(_array(queries), k, self.probes)
        if (rows < 0).any():
            # The nearest lists hold fewer than k keys. All lists together hold enough.
            similarity, rows = self._search(_array(queries), k, self.lists)
        return _hits(similarity, rows, queries.device)

    def _search(self, queries: Floats, k: int, probes: int) -> tuple[Floats, Ints]:
        parameters = faiss.SearchParametersIVF(nprobe=probes)
        similarity, rows = self._index.search(queries, k, params=parameters)
        return similarity, rows


class FaissGpuIndex:
    """All keys in one tensor on the GPU: exact.

    FAISS's own GPU indices copy everything on each add and cannot remove, so the keys live in a
    tensor that grows by doubling, and FAISS searches that. For one thread only, as all of FAISS
    on a GPU.
    """

    kind = "faiss-gpu"
    exact = True

    def __init__(self, width: int, device: torch.device | str = "cuda") -> None:
        """Make an empty index. Raises IndexUnavailable where there is no GPU."""
        if (reason := gpu_unavailable()) is not None:
            raise IndexUnavailable(f"{reason}: choose faiss-flat, or auto")
        place = torch.device(device)
        if place.type != "cuda":
            raise IndexUnavailable(f"expected a CUDA device for faiss-gpu, got {place}")
        self.width = width
        self._buffer = torch.empty(0, width, device=place)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, keys: Tensor) -> None:
        check_keys(keys, self.width)
        count = self._count + len(keys)
        if count > len(self._buffer):
            grown = self._buffer.new_empty(max(count, 2 * len(self._buffer)), self.width)
            grown[: self._count] = self._view()
            self._buffer = grown
        self._buffer[self._count : count] = keys.to(self._buffer)
        self._count = count

    def remove(self, row: int) -> None:
        check_row(row, self._count)
        self._buffer[row] = self._buffer[self._count - 1]
        self._count -= 1

    def replace(self, rows: Sequence[int], keys: Tensor) -> None:
        check_replacement(rows, keys, len(self), self.width)
        self._view()[list(rows)] = keys.to(self._buffer)

    def keys(self) -> Tensor:
        return self._view().cpu()

    def key(self, row: int) -> Tensor:
        check_row(row, self._count)
        return self._view()[row].cpu()

    def similarities(self, queries: Tensor) -> Tensor:
        check_keys(queries, self.width)
        return (queries.to(self._buffer) @ self._view().T).to(queries.device)

    def search(self, queries: Tensor, k: int) -> Hits:
        check_keys(queries, self.width)
        if not (k := min(k, self._count)):
            return _no_hits(queries)
        if k > GPU_LARGEST_K:
            top = self.similarities(queries).topk(k)
            return Hits(top.values, top.indices)
        on_device = queries.to(self._buffer).contiguous()
        with torch.cuda.device(self._buffer.device):
            similarity, rows = faiss.knn_gpu(
                _resources(), on_device, self._view(), k, metric=faiss.METRIC_INNER_PRODUCT
            )
        return Hits(similarity.to(queries.device), rows.to(queries.device))

    def _view(self) -> Tensor:
        return self._buffer[: self._count]


def train(keys: Tensor, seed: int = 0) -> Tensor:
    """Centroids (lists, width) for `FaissIvfIndex`, from keys (N, width) like those it will hold.

    About 4 sqrt(N) lists, by spherical k-means on at most 256 keys a list.
    """
    count = len(keys)
    lists = max(1, min(int(4 * count**0.5), count // KEYS_A_LIST, LARGEST_LISTS))
    if lists == 1:
        return torch.zeros(1, keys.shape[1])
    kmeans = faiss.Kmeans(
        keys.shape[1], lists, niter=TRAINING_ROUNDS, spherical=True, seed=seed + 1
    )
    kmeans.train(_array(keys))
    return torch.from_numpy(np.array(kmeans.centroids, np.float32))


def gpu_unavailable() -> str | None:
    """Why there can be no FAISS on a GPU here; None if there can."""
    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    if not hasattr(faiss, "StandardGpuResources"):
        return "this build of FAISS has no GPU code"
    if faiss.get_num_gpus() == 0:
        return "FAISS finds no GPU"
    return None


@cache
def _resources() -> Any:
    """FAISS's scratch memory on the GPU (1.5 GiB): once a process, and outliving every index."""
    # Lets FAISS's functions take torch's CUDA tensors without copies.
    import_module("faiss.contrib.torch_utils")
    return faiss.StandardGpuResources()


def _array(rows: Tensor) -> Floats:
    array: Floats = np.ascontiguousarray(rows.numpy(force=True), dtype=np.float32)
    return array


def _hits(similarity: Floats, rows: Ints, device: torch.device) -> Hits:
    return Hits(torch.from_numpy(similarity).to(device), torch.from_numpy(rows).to(device))


def _no_hits(queries: Tensor) -> Hits:
    empty = queries.new_zeros(len(queries), 0)
    return Hits(empty, empty.long())
