from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.errors import (
    CacheBusy,
    CacheDamaged,
    CacheFull,
    CacheMismatch,
    CacheMissing,
)
from indexer.reader import FILE
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


def test_no_store_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CacheMissing, match=FILE):
        Store(tmp_path)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_damage_and_no_sqlite_error(tmp_path: Path, part: float) -> None:
    Store.create(tmp_path, ORIGIN)
    store = Store(tmp_path)
    store.add("cat", [shot(i) for i in range(500)], feature=unit(0))
    store.close()
    data = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(data[: int(len(data) * part)])
    with pytest.raises(CacheDamaged, match="backup"):
        read_all(tmp_path)


def test_an_empty_file_is_damage_and_its_log_is_left_alone(store: Store, tmp_path: Path) -> None:
    store.put_class("cat", None, unit(0))
    log = tmp_path / f"{FILE}-wal"
    content = log.read_bytes()
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / FILE).touch()
    (copy / log.name).write_bytes(content)
    with pytest.raises(CacheDamaged, match="empty"):
        Store(copy)
    assert content
    assert (copy / log.name).read_bytes() == content


def test_another_kind_of_file_is_damage(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("not a database at all, but longer than its header" * 50)
    with pytest.raises(CacheDamaged):
        Store(tmp_path)
    (tmp_path / FILE).unlink()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(CacheDamaged, match="not a cache"):
        Store(tmp_path)


def test_a_store_of_a_newer_program_is_refused(store: Store, tmp_path: Path) -> None:
    store.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(CacheMismatch, match="schema 99"):
        Store(tmp_path)


def test_a_file_that_another_program_locks_is_busy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    monkeypatch.setattr("indexer.database.BUSY_SECONDS", 0.05)
    impatient = Store(tmp_path)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(CacheBusy):
        impatient.put_class("cat", None, unit(0))
    other.execute("ROLLBACK")
    other.close()
    impatient.put_class("cat", None, unit(0))
    impatient.close()


def test_a_full_disk_acknowledges_nothing_and_loses_nothing(store: Store) -> None:
    store.add("cat", [shot(1)], feature=unit(0))
    connection = store._database._writer
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(CacheFull, match="full"):
        store.add("cat", [shot(seed) for seed in range(2, 500)])
    assert (store.counts(), store.version) == ((1, 1), 1)
    connection.execute("PRAGMA max_page_count = 100000")
    store.add("cat", [shot(2)])
    assert (store.counts(), store.version) == ((1, 2), 2)
