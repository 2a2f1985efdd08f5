"""Caches that the program made before it kept a history."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from indexer import migration
from indexer.errors import CacheDamaged, UnknownVersion
from indexer.reader import FILE
from indexer.schema import APPLICATION_ID, declared, expected
from indexer.store import Store
from indexer.verification import verify
from tests.indexer.helpers import ORIGIN, STORE_WIDTH, stored_shot, unit

OLD = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE classes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    label TEXT NOT NULL UNIQUE,
    prompts TEXT,
    feature BLOB NOT NULL,
    created REAL NOT NULL
) STRICT;
CREATE TABLE texts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    text TEXT NOT NULL UNIQUE,
    feature BLOB NOT NULL
) STRICT;
CREATE TABLE shots (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    class_id INTEGER NOT NULL REFERENCES classes (id) ON DELETE CASCADE,
    text_id INTEGER REFERENCES texts (id),
    sha256 TEXT NOT NULL UNIQUE,
    created REAL NOT NULL,
    key BLOB NOT NULL
) STRICT;
CREATE INDEX shots_of_class ON shots (class_id, position);
CREATE INDEX shots_of_text ON shots (text_id);
CREATE TABLE extras (
    position INTEGER PRIMARY KEY REFERENCES shots (position) ON DELETE CASCADE,
    views BLOB,
    thumbnail BLOB
) STRICT;
CREATE TABLE fits (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    json TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE derived_files (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    shots INTEGER NOT NULL,
    sha256 TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE requests (
    key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    answer TEXT NOT NULL,
    created REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_age ON requests (created);
"""
VERSION = 41


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three shots of two classes; what had the highest numbers is gone."""
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(OLD)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        insert(connection)
        connection.commit()
    return tmp_path


def insert(connection: sqlite3.Connection) -> None:
    meta = {
        "model": ORIGIN.model,
        "fingerprint": ORIGIN.fingerprint,
        "width": str(STORE_WIDTH),
        "preprocessing": ORIGIN.preprocessing,
        "templates": json.dumps(ORIGIN.templates),
        "version": str(VERSION),
        "method": "paper",
    }
    connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    many = connection.executemany
    ant, bee = unit(90).tobytes(), unit(91).tobytes()
    many(
        "INSERT INTO classes VALUES (?, ?, ?, ?, ?)",
        [(2, "ant", None, ant, 1.5), (5, "bee", '["a {}"]', bee, 2.5), (8, "x", None, ant, 3.0)],
    )
    many("INSERT INTO texts VALUES (?, ?, ?)", [(3, "red", unit(92).tobytes())])
    shots = [(4, "s4", 5, 3), (7, "s7", 2, None), (9, "s9", 2, 3), (12, "s12", 2, None)]
    for position, shot_id, target, text in shots:
        shot = stored_shot(position)
        connection.execute(
            "INSERT INTO shots VALUES (?, ?, ?, ?, ?, ?, ?)",
            (position, shot_id, target, text, shot.sha256, position / 4, shot.key.tobytes()),
        )
    many("INSERT INTO extras VALUES (?, ?, ?)", [(4, None, b"RIFF"), (7, b"\0" * 32, None)])
    connection.execute("DELETE FROM classes WHERE id = 8")
    connection.execute("DELETE FROM shots WHERE position = 12")
    connection.execute("INSERT INTO fits VALUES ('paper', 40, '{}')")
    connection.execute("INSERT INTO requests VALUES ('key', 'print', '{}', 1.0)")


def old_rows(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / FILE)) as connection:
        return list(connection.iterdump())


def test_all_of_it_is_there_and_the_history_begins(folder: Path) -> None:
    with closing(Store(folder)) as store:
        assert (store.version, store.counts()) == (VERSION, (2, 3))
        (begun,) = store.versions(9).items
        assert (begun.version, begun.action) == (VERSION, "migrate")
        shots = store.shots(None, 9, None).items
        found = [(each.shot_id, each.label, each.caption) for each in shots]
        assert found == [("s4", "bee", "red"), ("s7", "ant", None), ("s9", "ant", "red")]
        rows = store.rows()
        assert rows.shots.keys.tobytes() == b"".join(unit(at).tobytes() for at in (4, 7, 9))
        assert [(each.id, each.label, each.prompts) for each in rows.classes] == [
            (2, "ant", None),
            (5, "bee", ("a {}",)),
        ]
        assert store.thumbnail("s4") == b"RIFF"
        views = store.views("s7")
        assert views is not None
        assert views.shape == (2, STORE_WIDTH)
        assert store.meta("method") == "paper"
        assert store.meta("version") is None
        assert store.fit("paper") == ("{}", 40)
        assert store.origin == ORIGIN
    with closing(sqlite3.connect(folder / FILE)) as connection:
        assert declared(connection) == expected()


def test_it_goes_on_from_there(folder: Path) -> None:
    with closing(Store(folder)) as store:
        store.add("cow", [stored_shot(50)], feature=unit(93))
        store.forget("s4")
        store.rollback(VERSION)
        assert store.version == VERSION + 3
        with pytest.raises(UnknownVersion):
            store.rollback(VERSION - 1)
    assert not [line for each in verify(folder, deep=True) for line in each.wrong]
    with closing(sqlite3.connect(folder / FILE)) as connection:
        last = connection.execute("SELECT max(position) FROM shots").fetchone()[0]
        classes = connection.execute("SELECT max(id) FROM classes").fetchone()[0]
    # The numbers 12 and 8 were used once.
    assert (last, classes) == (13, 9)


def test_it_is_done_once(folder: Path) -> None:
    with closing(Store(folder)), closing(Store(folder)) as second:
        assert len(second.versions(9).items) == 1


def test_an_empty_one(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.executescript(OLD)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        insert(connection)
        for table in ("extras", "shots", "texts", "classes"):
            connection.execute(f"DELETE FROM {table}")
        connection.commit()
    with closing(Store(tmp_path)) as store:
        assert (store.version, store.counts()) == (VERSION, (0, 0))
    assert not [line for each in verify(tmp_path, deep=True) for line in each.wrong]


def test_an_error_leaves_what_there_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = old_rows(folder)

    def fail(connection: sqlite3.Connection) -> None:
        raise OSError("no")

    monkeypatch.setattr(migration, "_copy_derived", fail)
    with pytest.raises(OSError, match="no"):
        Store(folder)
    assert old_rows(folder) == before


def test_a_process_that_dies_leaves_what_there_was(folder: Path) -> None:
    before = old_rows(folder)
    program = (
        "import os, sys; from pathlib import Path; from indexer import migration; "
        "migration._copy_derived = lambda connection: os._exit(9); "
        "from indexer.store import Store; Store(Path(sys.argv[1]))"
    )
    found = subprocess.run([sys.executable, "-c", program, str(folder)], check=False)
    assert found.returncode == 9
    assert old_rows(folder) == before
    with closing(Store(folder)) as store:
        assert store.counts() == (2, 3)


def test_damage_is_not_made_to_look_right(folder: Path) -> None:
    path = folder / FILE
    content = bytearray(path.read_bytes())
    at = content.index(b"s7") - 3
    content[at : at + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(CacheDamaged):
        Store(folder)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM meta WHERE key = 'version'",
        "UPDATE meta SET value = 'x' WHERE key = 'version'",
        "DROP INDEX shots_of_text",
        "DROP TABLE fits",
    ],
)
def test_what_is_not_as_it_was_made_is_damage(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute(statement)
    before = old_rows(folder)
    with pytest.raises(CacheDamaged):
        Store(folder)
    assert old_rows(folder) == before


def test_a_cache_of_today_that_says_it_is_old(tmp_path: Path) -> None:
    Store.create(tmp_path, ORIGIN)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("PRAGMA user_version = 1")
    with pytest.raises(CacheDamaged, match="does not declare the tables"):
        Store(tmp_path)
