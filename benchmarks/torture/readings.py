"""All that can be asked of a cache, as values that can be compared.

Each question is asked by names that the cache once acknowledged, so that what is missing is seen
as well as what is wrong.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import torch
from torch.nn import functional

from adapter.encoder import PixelEncoder
from indexer.cache import Cache
from indexer.errors import (
    CacheDamaged,
    CacheMismatch,
    EmptyCache,
    UnknownClass,
    UnknownShot,
    UnknownVersion,
)
from indexer.records import Floats, Page, Request

Item = TypeVar("Item")

ENCODER = PixelEncoder(width=16)
LOGIT = 3
"""Decimals of a logit that are compared: rows may be read in another order."""

PAGE = 7
ALL = 10**6
TOLD = (CacheDamaged, CacheMismatch)
NOT_THERE = (EmptyCache, UnknownClass, UnknownShot, UnknownVersion)


@dataclass
class Names:
    """What to ask for.

    Attributes:
        shots: ids.
        images: sha256 of their bytes.
        labels: of classes.
        requests: under idempotency keys.
        versions: to go back to, and to compare with each other.
    """

    shots: Sequence[str]
    images: Sequence[str]
    labels: Sequence[str]
    requests: Sequence[Request]
    versions: Sequence[int]


@dataclass(frozen=True)
class Readings:
    """What a cache said.

    Attributes:
        values: question -> the answer; the name of what was raised, where a thing was not there.
        told: question -> what was said of damage.
    """

    values: Mapping[str, object]
    told: Mapping[str, str]

    def differences(self, expected: Readings) -> list[str]:
        """The questions that were answered otherwise."""
        return [name for name, value in self.values.items() if value != expected.values.get(name)]


class Undone(Exception):  # noqa: N818 (ends a transaction, and is no error)
    """Everything in a group is to be undone."""


def readings(folder: Path, names: Names) -> Readings:
    """Open a cache, ask it everything, and close it.

    Raises:
        CacheDamaged, CacheMismatch: it cannot be opened, and says so.
        AssertionError: what is said of damage does not name the file.
    """
    values: dict[str, object] = {}
    told: dict[str, str] = {}
    with _precise(folder), Cache.open(folder, ENCODER, create=False) as cache:
        for name, ask in questions(cache, names):
            try:
                with _precise(folder):
                    values[name] = ask()
            except TOLD as damage:
                told[name] = str(damage)
            except NOT_THERE as missing:
                values[name] = type(missing).__name__
    return Readings(values, told)


def questions(cache: Cache, names: Names) -> Iterator[tuple[str, Callable[[], object]]]:
    """Everything that can be asked, each with a name."""
    store = cache._store
    yield "version", lambda: (cache.version, store.version, store.counts())
    yield "classify", partial(_scores, cache)
    yield "origin", lambda: (store.origin, store.meta("method"))
    yield "shots", lambda: _whole(lambda cursor: cache.shots(None, PAGE, cursor))
    yield "classes", lambda: _whole(lambda cursor: cache.classes(PAGE, cursor))
    yield "versions", lambda: _whole(lambda cursor: cache.versions(PAGE, cursor))
    yield "all views", lambda: [_bytes(views) for views in store.all_views()]
    for label in names.labels:
        yield f"class {label}", partial(cache.class_info, label)
        yield f"shots of {label}", partial(_shots_of, cache, label)
    for image in names.images:
        yield f"image {image}", partial(cache.find, image)
    for shot in names.shots:
        yield f"shot {shot}", partial(cache.shot, shot)
        yield f"thumbnail {shot}", partial(cache.thumbnail, shot)
        yield f"views {shot}", partial(_views_of, cache, shot)
    for request in names.requests:
        yield f"answer {request.key}", partial(cache.answer, request)
    for before, after in combinations(names.versions, 2):
        yield f"difference {before} {after}", partial(cache.differences, before, after)
    for version in names.versions[1:-1]:
        yield f"rollback {version}", partial(_rolled_back, cache, version)


@contextlib.contextmanager
def _precise(folder: Path) -> Iterator[None]:
    """Whatever is said of damage within it names the cache's file."""
    try:
        yield
    except TOLD as damage:
        if str(folder) not in str(damage):
            raise AssertionError(
                f"expected a message that names {folder}, got {damage}"
            ) from damage
        raise


def _scores(cache: Cache) -> object:
    generator = torch.Generator().manual_seed(0)
    queries = functional.normalize(torch.randn(4, ENCODER.width, generator=generator), dim=1)
    scores = cache.classify(queries)
    return scores.labels, scores.logits.double().round(decimals=LOGIT).tolist()


def _whole(page: Callable[[str | None], Page[Item]]) -> list[Item]:
    """All items of a list, page by page."""
    part = page(None)
    found = list(part.items)
    while part.next_cursor is not None:
        part = page(part.next_cursor)
        found += part.items
    return found


def _shots_of(cache: Cache, label: str) -> object:
    return _whole(lambda cursor: cache.shots(label, PAGE, cursor))


def _views_of(cache: Cache, shot: str) -> bytes | None:
    return _bytes(cache._store.views(shot))


def _bytes(array: Floats | None) -> bytes | None:
    return None if array is None else array.tobytes()


def _rolled_back(cache: Cache, version: int) -> object:
    """Classes, shots and keys after a rollback, which is then undone."""
    found: object = None
    with contextlib.suppress(Undone), cache.group():
        cache.rollback(version)
        rows = cache._store.rows()
        shots = [(each.shot_id, each.label, each.caption) for each in cache.shots(None, ALL).items]
        classes = [(each.label, each.prompts, each.shots) for each in cache.classes(ALL).items]
        texts = [_bytes(rows.captions.get(number)) for number in rows.shots.text_ids.tolist()]
        found = shots, classes, rows.shots.keys.tobytes(), texts
        raise Undone
    return found
