"""Comparisons on a thread of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from indexer.errors import CursorError, UnknownVersion
from indexer.reader import Reader
from indexer.records import Difference
from indexer.store import Store
from service.historian import Historian
from tests.indexer.helpers import ORIGIN, stored_shot, unit


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    Store.create(tmp_path, ORIGIN)
    with closing(Store(tmp_path)) as store:
        for seed in range(5):
            store.add("ant", [stored_shot(seed)], feature=unit(99))
        yield store


@pytest.fixture
def historian(store: Store) -> Iterator[Historian]:
    historian = Historian(store.folder)
    yield historian
    historian.close()


def test_pages_go_on_in_the_same_versions(store: Store, historian: Historian) -> None:
    counts, first = asyncio.run(historian.page(0, 5, 4, None))
    assert counts == {"class_added": 1, "shot_added": 5}
    store.delete_class("ant")
    _, second = asyncio.run(historian.page(0, 5, 4, first.next_cursor))
    assert second.next_cursor is None
    assert [*first.items, *second.items] == store.differences(0, 5)
    assert len(second.items) == 2


def test_what_is_read_page_by_page_is_compared_once(
    historian: Historian, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, int]] = []
    compare = Reader.differences

    def counted(reader: Reader, before: int, after: int) -> list[Difference]:
        made.append((before, after))
        return compare(reader, before, after)

    monkeypatch.setattr(Reader, "differences", counted)
    for before, after, cursor in ((0, 5, None), (0, 5, "2"), (5, 0, None), (0, 5, None)):
        asyncio.run(historian.page(before, after, 2, cursor))
    assert made == [(0, 5), (5, 0), (0, 5)]


def test_a_version_that_was_erased_meanwhile_is_not_shown(
    store: Store, historian: Historian
) -> None:
    asyncio.run(historian.page(1, 5, 2, None))
    store.compact(keep=1)
    with pytest.raises(UnknownVersion):
        asyncio.run(historian.page(1, 5, 2, "2"))


def test_a_cursor_of_something_else(historian: Historian) -> None:
    with pytest.raises(CursorError):
        asyncio.run(historian.page(0, 5, 2, "x"))
