"""The trained part of an index of inverted lists, kept beside the store.

Training takes seconds to minutes on a large cache, everything else is read back from the store in
no time. The file is derived: where it is missing, damaged, or made when the cache was of another
size, it is made again, and the log says of the first two what was found. It is a plain matrix, and
is opened only if its checksum is the one that the store knows.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import safetensors.torch
from torch import Tensor

from adapter.files import write_whole
from indexer.errors import CacheError
from indexer.faiss_index import train
from indexer.records import DerivedFile
from indexer.store import Store

FILE = "image-centroids.safetensors"
GROWTH = 4
"""A cache that has grown, or shrunk, more than so many times needs other lists."""
LOGGER = logging.getLogger("xmadapter.indexer")


class SnapshotDamaged(ValueError):  # noqa: N818 (reads as what happened)
    """A file is missing, or is not the one that the store knows."""


def image_centroids(store: Store, keys: Tensor) -> Tensor:
    """Centroids (lists, D) for the image keys (N, D): those on disk, or new ones, then on disk.

    A disk that cannot be written keeps nobody from having them.
    """
    try:
        known = _load(store, len(keys))
    except SnapshotDamaged as damage:
        _warn("index snapshot made again", store, damage)
        known = None
    if known is not None:
        return known
    centroids = train(keys)
    try:
        _save(store, centroids, len(keys))
    except (OSError, CacheError) as error:
        _warn("index snapshot not kept", store, error)
    return centroids


def _load(store: Store, shots: int) -> Tensor | None:
    """What is on disk; None where there is nothing that fits. Raises SnapshotDamaged."""
    record = store.derived_file(FILE)
    if record is None or not shots <= GROWTH * record.shots <= GROWTH**2 * shots:
        return None
    content = _content(store.folder / FILE)
    found = hashlib.sha256(content).hexdigest()
    if found != record.sha256:
        raise SnapshotDamaged(
            f"expected the checksum {record.sha256[:12]} that the store knows, got {found[:12]} "
            f"of {len(content):,} bytes"
        )
    return safetensors.torch.load(content)["centroids"]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SnapshotDamaged(f"cannot be read: {error.strerror}") from error


def _save(store: Store, centroids: Tensor, shots: int) -> None:
    content = safetensors.torch.save({"centroids": centroids.contiguous()})
    write_whole(store.folder / FILE, content)
    checksum = hashlib.sha256(content).hexdigest()
    store.set_derived_file(FILE, DerivedFile(store.version, shots, checksum))


def _warn(message: str, store: Store, reason: Exception) -> None:
    facts = {"file": str(store.folder / FILE), "reason": str(reason)}
    LOGGER.warning(message, extra={"fields": facts})
