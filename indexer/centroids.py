"""The trained part of an index of inverted lists, kept beside the store.

Training takes seconds to minutes on a large cache, everything else is read back from the store in
no time. The file is derived: where it is missing, damaged, or made when the cache was of another
size, it is made again. It is a plain matrix, and is opened only if its checksum is the one that
the store knows.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import safetensors.torch
from torch import Tensor

from indexer.faiss_index import train
from indexer.records import DerivedFile
from indexer.store import Store

FILE = "image-centroids.safetensors"
GROWTH = 4
"""A cache that has grown, or shrunk, more than so many times needs other lists."""


def image_centroids(store: Store, keys: Tensor) -> Tensor:
    """Centroids (lists, D) for the image keys (N, D): those on disk, or new ones, then on disk."""
    known = _load(store, len(keys))
    if known is not None:
        return known
    centroids = train(keys)
    _save(store, centroids, len(keys))
    return centroids


def _load(store: Store, shots: int) -> Tensor | None:
    record = store.derived_file(FILE)
    if record is None or not shots <= GROWTH * record.shots <= GROWTH**2 * shots:
        return None
    try:
        data = (store.folder / FILE).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest() != record.sha256:
        return None
    return safetensors.torch.load(data)["centroids"]


def _save(store: Store, centroids: Tensor, shots: int) -> None:
    data = safetensors.torch.save({"centroids": centroids.contiguous()})
    path = store.folder / FILE
    unfinished = Path(f"{path}.new")
    unfinished.write_bytes(data)
    unfinished.replace(path)
    checksum = hashlib.sha256(data).hexdigest()
    store.set_derived_file(FILE, DerivedFile(store.version, shots, checksum))
