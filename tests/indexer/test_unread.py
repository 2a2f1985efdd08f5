from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from indexer.errors import CacheDamaged
from indexer.reader import FILE
from indexer.records import Reply, Request
from indexer.state import Source
from indexer.store import Store
from indexer.unread import MOST_NUMBERS, check_answers, check_numbers
from tests.indexer.helpers import ORIGIN, unit


def test_an_answer_is_of_a_version_that_there_is(tmp_path: Path) -> None:
    Store.create(tmp_path, ORIGIN)
    with contextlib.closing(Store(tmp_path)) as store:
        store.put_class("cat", None, unit(0))
        store.remember(Request("key", "same"), Reply(201, b"{}"))
        with store.source() as source:
            check_answers(source, 1)
            with pytest.raises(CacheDamaged, match=f"{tmp_path}.*idempotency key"):
                check_answers(source, 0)


def test_answers_that_come_meanwhile_are_not_taken_for_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.create(tmp_path, ORIGIN)
    with contextlib.closing(Store(tmp_path)) as store, contextlib.closing(Store(tmp_path)) as other:

        def overtaken(source: Source, version: int) -> None:
            with other.group():
                other.put_class("cat", None, unit(0))
                other.remember(Request("key", "same"), Reply(201, b"{}"))
            check_answers(source, version)

        monkeypatch.setattr("indexer.reader.check_answers", overtaken)
        store.check()
        assert store.version == 1


def test_numbers_go_on_where_shots_have_room(tmp_path: Path) -> None:
    Store.create(tmp_path, ORIGIN)
    with contextlib.closing(Store(tmp_path)) as store:
        store.put_class("cat", None, unit(0))
        with sqlite3.connect(tmp_path / FILE) as connection:
            connection.execute("UPDATE sqlite_sequence SET seq = ?", (MOST_NUMBERS,))
            connection.commit()
            with store.source() as source:
                check_numbers(source)
            connection.execute("UPDATE sqlite_sequence SET seq = seq + 1")
        connection.close()
        with store.source() as source, pytest.raises(CacheDamaged, match="next numbers"):
            check_numbers(source)
