from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from indexer import clock, state
from indexer.errors import (
    CacheDamaged,
    CursorError,
    UnknownClass,
    UnknownShot,
)
from indexer.reader import FILE, Reader
from indexer.records import Reply, Request, StoredShot
from indexer.state import Source
from indexer.store import Store
from tests.indexer.helpers import ORIGIN, unit
from tests.indexer.helpers import stored_shot as shot


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    Store.create(tmp_path, ORIGIN)
    store = Store(tmp_path)
    yield store
    store.close()


def read_all(folder: Path) -> None:
    with contextlib.closing(Store(folder)) as store:
        store.rows()


def test_pages_hold_every_shot_once_in_order(store: Store) -> None:
    ids = [
        each.shot_id
        for each in store.add("cat", [shot(i) for i in range(7)], feature=unit(0)).placed
    ]
    store.add("dog", [shot(100)], feature=unit(1))
    seen: list[str] = []
    cursor = None
    while True:
        page = store.shots("cat", 3, cursor)
        seen += [info.shot_id for info in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == ids
    assert store.shots("dog", 1, None).next_cursor is None
    assert len(store.shots(None, 100, None).items) == 8


def test_a_page_survives_the_deletion_of_the_shot_its_cursor_names(store: Store) -> None:
    added = store.add("cat", [shot(i) for i in range(4)], feature=unit(0)).placed
    cursor = store.shots(None, 2, None).next_cursor
    store.forget(added[1].shot_id)
    assert [each.shot_id for each in store.shots(None, 2, cursor).items] == [
        added[2].shot_id,
        added[3].shot_id,
    ]


@pytest.mark.parametrize("cursor", ["", "-1", "x", "1.5", "1" * 40, "１２", "1; DROP TABLE shots"])
def test_a_cursor_of_ones_own_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(CursorError, match="next_cursor"):
        store.shots(None, 10, cursor)


def test_classes_are_listed_with_prompts_and_counts(store: Store) -> None:
    store.put_class("part/4711 🦊 שלום", ["a {} part", "part"], unit(0))
    store.add("cat", [shot(1)], feature=unit(1))
    first, second = store.classes(10, None).items
    assert (first.label, first.prompts, first.shots) == (
        "part/4711 🦊 שלום",
        ("a {} part", "part"),
        0,
    )
    assert (second.label, second.prompts, second.shots) == ("cat", None, 1)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE class_states SET feature = x'00'", "not those of its version 1"),
        ("UPDATE shots SET key = zeroblob(32)", "not as it was written"),
        ("UPDATE shots SET created = created + 1", "not as it was written"),
        ("UPDATE texts SET text = 'a green one'", "not as it was written"),
        ("UPDATE placements SET slot = slot + 1", "not those of its version 1"),
        ("DELETE FROM placements", "not those of its version 1"),
        ("UPDATE classes SET label = 'dog'", "not those of its version 1"),
        ("UPDATE class_states SET prompts = '[]'", "not those of its version 1"),
        ("UPDATE versions SET digest = zeroblob(16)", "what it knows of version 1"),
        ("UPDATE versions SET version = 9 WHERE version = 1", "what it knows of version 9"),
        ("UPDATE texts SET text = CAST(x'ff' AS TEXT)", "decode"),
        ("DELETE FROM versions WHERE version = 1", "not those of its version 0"),
        ("DELETE FROM versions", "no version"),
        ("DELETE FROM meta WHERE key = 'width'", "description"),
        ("UPDATE meta SET value = 'x' WHERE key = 'templates'", "description"),
        ("DROP INDEX shots_by_image", "declares"),
    ],
)
def test_spoiled_values_are_damage(
    store: Store, tmp_path: Path, statement: str, reason: str
) -> None:
    given = [shot(1), shot(2, "a red one")]
    store.add("cat", given, feature=unit(0), texts={"a red one": unit(2)})
    store.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(CacheDamaged, match=reason):
        read_all(tmp_path)


SHOTS_ROOT = "(SELECT rootpage FROM sqlite_master WHERE name = 'shots')"


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE requests SET key = 'kez'", "idempotency key"),
        ("UPDATE requests SET created = created - 86400", "idempotency key"),
        ("DELETE FROM versions WHERE version = 1", "idempotency key"),
        ("UPDATE sqlite_sequence SET seq = 1 << 40 WHERE name = 'shots'", "next numbers"),
        ("UPDATE sqlite_sequence SET seq = 'many' WHERE name = 'texts'", "next numbers"),
        (f"UPDATE sqlite_master SET rootpage = {SHOTS_ROOT} WHERE name = 'extras'", "pages"),
        ("UPDATE sqlite_master SET sql = CAST(x'ff' AS TEXT) WHERE name = 'fits'", "schema"),
    ],
)
def test_what_no_reading_would_miss_is_checked_at_the_opening(
    store: Store, tmp_path: Path, statement: str, reason: str
) -> None:
    store.add("cat", [shot(1, "a red one")], feature=unit(0), texts={"a red one": unit(2)})
    store.remember(Request("key", "same"), Reply(201, b"{}"))
    store.check()
    store.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(statement)
    connection.close()
    with pytest.raises(CacheDamaged, match=reason), contextlib.closing(Store(tmp_path)) as damaged:
        damaged.check()


@pytest.mark.parametrize("large", [False, True])
def test_a_page_out_of_order_is_found_in_a_file_of_any_size(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    if large:
        monkeypatch.setattr("indexer.database.LARGE_PAGES", 0)
    store.add("cat", [shot(1)], feature=unit(0))
    store.check()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master "
            "WHERE name = 'shots_by_image') WHERE name = 'requests_by_age'"
        )
    connection.close()
    with pytest.raises(CacheDamaged, match="pages"), contextlib.closing(Store(tmp_path)) as damaged:
        damaged.check()


def test_a_row_where_none_can_be_is_damage(store: Store, tmp_path: Path) -> None:
    store.add("cat", [shot(1)], feature=unit(0))
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("INSERT INTO extras VALUES (2, x'00', NULL, NULL)")
    connection.close()
    with pytest.raises(CacheDamaged, match=str(tmp_path)):
        store.add("cat", [shot(2)])
    assert store.counts() == (1, 1)


def test_numbers_that_are_not_finite_are_damage_even_where_they_were_written(store: Store) -> None:
    store.add("cat", [StoredShot("ab", unit(1) * np.float32(np.nan))], feature=unit(0))
    with pytest.raises(CacheDamaged, match="finite"):
        store.rows()


@pytest.mark.parametrize(
    ("statement", "read"),
    [
        ("UPDATE extras SET thumbnail = x'00'", lambda store, shot_id: store.thumbnail(shot_id)),
        ("UPDATE extras SET views = NULL", lambda store, shot_id: store.views(shot_id)),
        ("UPDATE versions SET action = 'forget'", lambda store, shot_id: store.versions()),
        ("UPDATE placements SET since = 0", lambda store, shot_id: store.differences(0, 1)),
        (
            "UPDATE requests SET body = x'00'",
            lambda store, shot_id: store.answer(Request("key", "same")),
        ),
    ],
)
def test_what_is_read_later_is_checked_then(
    store: Store, tmp_path: Path, statement: str, read: Callable[[Store, str], object]
) -> None:
    views = np.stack([unit(5), unit(6)]).astype(np.float16)
    given = StoredShot("ab", unit(1), None, views, b"webp")
    shot_id = store.add("cat", [given], feature=unit(0)).placed[0].shot_id
    store.remember(Request("key", "same"), Reply(201, b"{}"))
    read(store, shot_id)
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(CacheDamaged, match=str(tmp_path)):
        read(store, shot_id)


def test_a_damaged_fit_is_no_fit(store: Store, tmp_path: Path) -> None:
    store.set_fit("full", "{}", 0)
    assert store.fit("full") == ("{}", 0)
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("UPDATE fits SET json = '{ }'")
    connection.close()
    assert store.fit("full") is None


def test_an_idempotency_key_is_forgotten_after_a_day(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request("key", "fingerprint")
    store.remember(request, Reply(201, b"{}"))
    later = clock.now() + 25 * 3600
    monkeypatch.setattr(clock, "now", lambda: later)
    assert store.answer(request) is None


def test_what_is_not_there_is_named(store: Store) -> None:
    store.put_class("truck", None, unit(0))
    for call in (store.shot, store.thumbnail, store.views, store.forget):
        with pytest.raises(UnknownShot, match="nope"):
            call("nope")
    with pytest.raises(UnknownShot):
        store.relabel("nope", "truck")
    with pytest.raises(UnknownClass, match="did you mean 'truck'"):
        store.delete_class("trukc")
    with pytest.raises(UnknownClass):
        store.shots("car", 10, None)
    with pytest.raises(UnknownClass):
        store.add("car", [shot(1)])


def test_readers_beside_a_writer_see_whole_changes(store: Store) -> None:
    """Two shots a call: whoever reads between calls must never count an odd number."""
    store.put_class("cat", None, unit(0))
    odd: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            count = len(store.shots("cat", 1000, None).items)
            if count % 2:
                odd.append(count)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for i in range(0, 100, 2):
        store.add("cat", [shot(i), shot(i + 1)])
    done.set()
    for reader in readers:
        reader.join()
    assert odd == []
    assert store.class_info("cat").shots == 100


def test_all_rows_are_of_one_moment_whoever_writes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.create(tmp_path, ORIGIN)
    with contextlib.closing(Store(tmp_path)) as writer, contextlib.closing(Reader(tmp_path)) as own:
        writer.add("ant", [shot(1)], feature=unit(1))
        read = state._texts

        def then_another_writes(source: Source, wanted: set[int] | None) -> object:
            found = read(source, wanted)
            writer.add("bee", [shot(2)], feature=unit(2))
            return found

        monkeypatch.setattr(state, "_texts", then_another_writes)
        rows = own.rows()
        assert (rows.version, len(rows.classes), len(rows.shots.ids)) == (1, 1, 1)
        monkeypatch.undo()
        assert (own.rows().version, len(own.rows().shots.ids)) == (2, 2)


def test_what_changed_is_found_without_a_walk_through_all_that_is_there(tmp_path: Path) -> None:
    """Each answer asks for it: with 100,000 shots, a walk would take a tenth of a second."""
    Store.create(tmp_path, ORIGIN)
    with contextlib.closing(Store(tmp_path)) as store:
        for at in range(9):
            store.add(f"class {at % 3}", [shot(at)], feature=unit(at))
        store.delete_class("class 1")
        asked: list[str] = []
        with store.source() as source:
            source.connection.set_trace_callback(asked.append)
            delta = state.read_delta(source, 8)
            source.connection.set_trace_callback(None)
            assert delta is not None
            assert delta.classes_gone == ["class 1"]
            assert len(asked) >= 5
            steps = [
                row[3]
                for query in asked
                for row in source.connection.execute(f"EXPLAIN QUERY PLAN {query}")
            ]
    walked = [step for step in steps if step.startswith("SCAN")]
    # Of versions only the last is read.
    assert set(walked) <= {"SCAN touched", "SCAN t", "SCAN versions"}
