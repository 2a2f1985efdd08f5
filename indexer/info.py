"""What is in a cache, told without a model."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from adapter.fit import Fit, Method
from adapter.networks import AdapterFileError
from indexer.adapters import Adapters, fit_name
from indexer.reader import Reader
from indexer.store import Store

DEFAULT_METHOD: Method = "full"


@dataclass(frozen=True)
class CacheInfo:
    """A cache in numbers and names.

    Attributes:
        path: its folder.
        classes, shots: how many there are.
        version: how many changes there have been.
        fitted_version: the version whose shots the numbers were fitted on; None before a fit.
        method: which form answers.
        fit: the numbers, None before a fit.
        model, fingerprint, width: the encoder that the features are of.
        templates: prompts of classes without their own.
        bytes: of all its files on disk.
        index: kind of the index of image keys; None where the cache is not open.
        text_index: likewise of the text keys.
        adapter: number of the adapter that serves, or would; None for none.
        networks: the file of networks that was named instead of an adapter.
    """

    path: Path
    classes: int
    shots: int
    version: int
    fitted_version: int | None
    method: Method
    fit: Fit | None
    model: str
    fingerprint: str
    width: int
    templates: tuple[str, ...]
    bytes: int
    index: str | None = None
    text_index: str | None = None
    adapter: int | None = None
    networks: Path | None = None


def cache_info(path: Path) -> CacheInfo:
    """Read what is in the cache at `path`, also while a service has it open.

    Raises:
        CacheMissing, CacheDamaged, CacheMismatch: see indexer.errors.
    """
    with contextlib.closing(Store(path)) as store:
        return info_of(store)


def info_of(store: Store) -> CacheInfo:
    """What is in an open store."""
    classes, shots = store.counts()
    method = stored_method(store)
    adapter, checksum = _published(store.folder)
    numbers, fitted_version = stored_fit(store, fit_name(method, checksum))
    origin = store.origin
    return CacheInfo(
        path=store.folder,
        classes=classes,
        shots=shots,
        version=store.version,
        fitted_version=fitted_version,
        method=method,
        fit=numbers,
        model=origin.model,
        fingerprint=origin.fingerprint,
        width=origin.width,
        templates=origin.templates,
        bytes=bytes_in(store.folder),
        adapter=adapter,
    )


def _published(folder: Path) -> tuple[int | None, str | None]:
    """Number and checksum of the adapter that was published last, where it can be told."""
    adapters = Adapters(folder)
    with contextlib.suppress(AdapterFileError):
        if (record := adapters.published) is not None:
            return record.number, record.sha256
    return None, None


def stored_method(store: Reader) -> Method:
    """The form that this cache answers with."""
    return cast(Method, store.meta("method") or DEFAULT_METHOD)


def stored_fit(store: Store, name: str) -> tuple[Fit | None, int | None]:
    """The last numbers of this name and the version that they saw; None if there are none to use.

    The name is the method's, with the checksum of the networks where these are trained.
    """
    found = store.fit(name)
    if found is None:
        return None, None
    text, version = found
    try:
        return Fit.from_json(text), version
    except ValueError:
        # Of a program with other numbers: they are fitted again.
        return None, None


def bytes_in(folder: Path) -> int:
    """Of all files of a folder, and of those below it."""
    total = 0
    for path in folder.rglob("*"):
        # SQLite's side files come and go.
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total
