"""Which adapters a cache has, and which of them is to serve: looked at, and chosen by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adapter.networks import AdapterFileError
from indexer.adapters import Adapters
from indexer.errors import CacheError
from indexer.info import CacheInfo, cache_info
from service.lock import CacheLocked, training_lock

FAILURES = (AdapterFileError, CacheError, CacheLocked, OSError)
"""What can go wrong here and says what to do."""


@dataclass(frozen=True)
class Listed:
    """An adapter of a cache.

    Attributes:
        number: its own.
        serves: whether it is the one that is to serve.
        created: when, ISO 8601 in UTC; None, as the others are, where its record is damaged.
        method: the form that it was trained for.
        accuracy: share of the shots that were right when left out.
        published: whether it was to serve once it was trained.
        error: why it cannot be used; None where it can.
    """

    number: int
    serves: bool
    created: str | None = None
    method: str | None = None
    accuracy: float | None = None
    published: bool | None = None
    error: str | None = None


def list_adapters(cache: Path) -> tuple[list[Listed], str | None]:
    """All adapters of a cache by their numbers, each of them read and checked.

    Returns:
        They, and why it cannot be told which one is to serve; None where it can.

    Raises:
        CacheError: there is no cache, or it cannot be read.
    """
    info, adapters = cache_info(cache), Adapters(cache)
    current, error = None, None
    try:
        current = adapters.current
        _ = adapters.published
    except AdapterFileError as found:
        error = str(found)
    return [_listed(adapters, number, current, info) for number in adapters.numbers], error


def use_adapter(cache: Path, number: int | None) -> None:
    """Have an adapter of a cache serve, or untrained networks (None).

    Raises:
        AdapterFileError: there is no such adapter, it is damaged, or was made for another model.
        CacheError: there is no cache, or it cannot be read or written.
        CacheLocked: a training is under way there.
        OSError: the folder cannot be written.
    """
    info, adapters = cache_info(cache), Adapters(cache)
    with training_lock(adapters.folder):
        if number is not None:
            adapters.read(number, info.fingerprint, info.width)
        adapters.use(number)


def _listed(adapters: Adapters, number: int, current: int | None, info: CacheInfo) -> Listed:
    serves = number == current
    try:
        record = adapters.record(number)
    except AdapterFileError as error:
        return Listed(number, serves, error=str(error))
    try:
        adapters.load(record, info.fingerprint, info.width)
        trouble = None
    except AdapterFileError as error:
        trouble = str(error)
    return Listed(
        number,
        serves,
        created=record.created,
        method=record.method,
        accuracy=record.accuracy,
        published=record.published,
        error=trouble,
    )
