"""A cache of the first schema, which kept no history, made into one of today's.

It is done in one transaction: a process that dies meanwhile leaves what there was. The history
begins at the version that the cache had. Answers under idempotency keys are dropped: the first
schema did not keep them as they were sent.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from indexer.change import SLOT_BITS, insert_version
from indexer.checksums import checksum, meta_checksum, of_class, of_shot, packed
from indexer.database import damaged
from indexer.schema import SCHEMA, SCHEMA_VERSION
from indexer.state import content_of

FIRST = 1
TABLES = ("extras", "shots", "texts", "classes", "fits", "derived_files", "requests", "meta")
"""Of the first schema; those that speak of others before these."""
INDICES = ("shots_of_class", "shots_of_text", "requests_by_age")


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file at `path` to today's schema, where it has the first one.

    Raises:
        CacheDamaged: it is not sound; nothing was changed.
        sqlite3.Error: nothing was changed.
    """
    if _schema(connection) != FIRST:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have done it meanwhile.
        if _schema(connection) == FIRST:
            _check(connection, path)
            _rebuild(connection, path)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _schema(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what would get checksums as if it were right."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    if {row[0] for row in connection.execute(query)} != set(TABLES):
        raise damaged(path, f"it does not declare the tables of its schema {FIRST}")
    found = connection.execute("PRAGMA integrity_check").fetchone()[0]
    if found != "ok":
        raise damaged(path, f"its pages are not in order: {found}")


def _rebuild(connection: sqlite3.Connection, path: Path) -> None:
    for index in INDICES:
        connection.execute(f"DROP INDEX {index}")
    for table in TABLES:
        connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    for statement in SCHEMA.split(";"):
        connection.execute(statement)
    version = _copy_meta(connection, path)
    classes, class_sum = _copy_classes(connection, version)
    shots, shot_sum = _copy_shots(connection, version)
    _copy_derived(connection)
    digest = packed(class_sum + shot_sum)
    insert_version(connection, version, "migrate", None, None, classes, shots, digest)
    for table in ("classes", "texts", "shots"):
        _go_on_counting(connection, table)
    for table in TABLES:
        connection.execute(f"DROP TABLE old_{table}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _copy_meta(connection: sqlite3.Connection, path: Path) -> int:
    """The version that the cache had."""
    meta = dict(connection.execute("SELECT key, value FROM old_meta").fetchall())
    try:
        version = int(meta.pop("version"))
    except (KeyError, ValueError) as error:
        raise damaged(path, f"it does not know its version: {error!r}") from error
    rows = [*meta.items(), ("checksum", meta_checksum(meta))]
    connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
    return version


def _copy_classes(connection: sqlite3.Connection, version: int) -> tuple[int, int]:
    """How many there are, and their part of the digest."""
    rows = connection.execute("SELECT id, label, created, prompts, feature FROM old_classes")
    found = rows.fetchall()
    for number, label, created, prompts, feature in found:
        connection.execute("INSERT INTO classes VALUES (?, ?, ?)", (number, label, created))
        connection.execute(
            "INSERT INTO class_states (class_id, since, prompts, feature) VALUES (?, ?, ?, ?)",
            (number, version, prompts, feature),
        )
    return len(found), sum(of_class(*row) for row in found)


def _copy_shots(connection: sqlite3.Connection, version: int) -> tuple[int, int]:
    """With their captions, views and thumbnails; how many, and their part of the digest."""
    connection.execute("INSERT INTO texts SELECT id, text, feature FROM old_texts")
    rows = connection.execute(
        """SELECT s.position, s.id, s.class_id, s.text_id, s.sha256, s.created, s.key, t.text,
        t.feature, e.views, e.thumbnail FROM old_shots s
        LEFT JOIN old_texts t ON t.id = s.text_id
        LEFT JOIN old_extras e ON e.position = s.position ORDER BY s.position"""
    )
    count = total = 0
    for position, shot_id, target, text_id, sha256, created, key, text, feature, *extras in rows:
        caption = None if text is None else checksum(text, feature)
        content = content_of(shot_id, sha256, created, caption, key)
        slot = version << SLOT_BITS | position
        connection.execute(
            "INSERT INTO shots VALUES (?, ?, ?, ?, ?, ?, ?)",
            (position, shot_id, text_id, sha256, created, content, key),
        )
        connection.execute(
            "INSERT INTO extras VALUES (?, ?, ?, ?)",
            (position, checksum(position, *extras), *extras),
        )
        connection.execute(
            "INSERT INTO placements (position, since, class_id, slot) VALUES (?, ?, ?, ?)",
            (position, version, target, slot),
        )
        count += 1
        total += of_shot(position, target, slot, content)
    return count, total


def _copy_derived(connection: sqlite3.Connection) -> None:
    for name, version, text in connection.execute("SELECT name, version, json FROM old_fits"):
        connection.execute(
            "INSERT INTO fits (name, version, json, checksum) VALUES (?, ?, ?, ?)",
            (name, version, text, checksum(name, text, version)),
        )
    connection.execute(
        "INSERT INTO derived_files SELECT name, version, shots, sha256 FROM old_derived_files"
    )


def _go_on_counting(connection: sqlite3.Connection, table: str) -> None:
    """Numbers that were used are never used again."""
    query = "SELECT seq FROM sqlite_sequence WHERE name = ?"
    last = connection.execute(query, (f"old_{table}",)).fetchone()
    if last is not None:
        connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        connection.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, last[0]))
