"""Keys in FAISS: exact on the CPU, and inverted lists for large caches.

An index is never read from a file: keys come from the store, and the one thing that is dear to
compute, the centroids of the inverted lists, is a plain matrix (`indexer.centroids`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import faiss as faiss_module
import numpy as np
import torch
from torch import Tensor

from adapter.head import Hits
from adapter.products import products_by_key
from indexer.errors import IndexUnavailable
from indexer.index import Rows, check_keys, check_replacement, check_row
from indexer.records import Floats, Ints

# Its own type hints, where a version has any, lack parts that are used here.
faiss: Any = faiss_module

KEYS_A_LIST = 39
"""FAISS warns of centroids trained on fewer points each."""

LARGEST_LISTS = 4096
TRAINING_ROUNDS = 8

PROBES = 8
"""Lists that a search looks into: 4,000 of 1,000,000 keys. Three times as many changed no answer's
agreement with the exact one, only how many of the nearest shots are found."""


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
        # This way round, since what follows goes key by key.
        by_key = products_by_key(torch.from_numpy(self._view()), queries.cpu())
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
    caches of hundreds of thousands of shots. Searched are copies in half precision, which halves
    what a search has to read, and is off by 2^-11 of a key's numbers at most; `keys` and `key`
    give out what was added.
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
            probes: how many lists a search looks into; `PROBES` by default.
        """
        self.width = width
        if centroids is None:
            centroids = torch.zeros(1, width)
        check_keys(centroids, width)
        self.lists = len(centroids)
        self.probes = min(self.lists, probes or PROBES)
        self._keys = Rows(np.float32, width)
        # A quantiser that holds all centroids makes the index count as trained.
        self._quantiser = faiss.IndexFlatIP(width)
        self._quantiser.add(_array(centroids))
        half, metric = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        self._index = faiss.IndexIVFScalarQuantizer(
            self._quantiser, width, self.lists, half, metric, False
        )
        self._index.is_trained = True
        # Finds a key by its row without a walk through all lists.
        self._index.set_direct_map_type(faiss.DirectMap.Hashtable)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, keys: Tensor) -> None:
        check_keys(keys, self.width)
        rows = np.arange(len(self), len(self) + len(keys), dtype=np.int64)
        self._index.add_with_ids(_array(keys), rows)
        self._keys.append(_array(keys))

    def remove(self, row: int) -> None:
        last = len(self) - 1
        check_row(row, last + 1)
        self._forget(np.unique(np.array([row, last], dtype=np.int64)))
        self._keys.remove(row)
        if row != last:
            moved = self._keys.view[row : row + 1]
            self._index.add_with_ids(moved, np.array([row], dtype=np.int64))

    def replace(self, rows: Sequence[int], keys: Tensor) -> None:
        check_replacement(rows, keys, len(self), self.width)
        numbers = np.array(rows, dtype=np.int64)
        self._forget(numbers)
        self._index.add_with_ids(_array(keys), numbers)
        self._keys.view[numbers] = _array(keys)

    def keys(self) -> Tensor:
        return torch.from_numpy(self._keys.view.copy())

    def key(self, row: int) -> Tensor:
        check_row(row, len(self))
        return torch.from_numpy(self._keys.view[row].copy())

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
        short = (rows < 0).any(axis=1)
        if short.any():
            # The nearest lists hold fewer than k keys. All lists together hold enough.
            similarity[short], rows[short] = self._search(_array(queries)[short], k, self.lists)
        return _hits(similarity, rows, queries.device)

    def _search(self, queries: Floats, k: int, probes: int) -> tuple[Floats, Ints]:
        parameters = faiss.SearchParametersIVF(nprobe=probes)
        similarity, rows = self._index.search(queries, k, params=parameters)
        return similarity, rows

    def _forget(self, rows: Ints) -> None:
        self._index.remove_ids(faiss.IDSelectorArray(len(rows), faiss.swig_ptr(rows)))


def train(keys: Tensor, seed: int = 0) -> Tensor:
    """Centroids (lists, width) for `FaissIvfIndex`, from keys (N, width) like those it will hold.

    About 2 sqrt(N) lists, by spherical k-means on as few keys a list as do: more of them take
    minutes, and find no more neighbours.
    """
    count = len(keys)
    lists = max(1, min(int(2 * count**0.5), count // KEYS_A_LIST, LARGEST_LISTS))
    if lists == 1:
        return torch.zeros(1, keys.shape[1])
    kmeans = faiss.Kmeans(
        keys.shape[1],
        lists,
        niter=TRAINING_ROUNDS,
        spherical=True,
        seed=seed + 1,
        max_points_per_centroid=KEYS_A_LIST,
    )
    kmeans.train(_array(keys))
    return torch.from_numpy(np.array(kmeans.centroids, np.float32))


def _array(rows: Tensor) -> Floats:
    array: Floats = np.ascontiguousarray(rows.numpy(force=True), dtype=np.float32)
    return array


def _hits(similarity: Floats, rows: Ints, device: torch.device) -> Hits:
    return Hits(torch.from_numpy(similarity).to(device), torch.from_numpy(rows).to(device))


def _no_hits(queries: Tensor) -> Hits:
    empty = queries.new_zeros(len(queries), 0)
    return Hits(empty, empty.long())
