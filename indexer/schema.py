"""The tables of a cache's file.

What a cache holds changes, what it held does not: shots, texts and class names are written once,
and a row of `placements` or `class_states` says from which version on (`since`) until which
(`until`, NULL today) a shot was in a class, or a class had these prompts. So every version can be
read, compared and restored, and one question tells what changed after a version.

Shots that share a `slot` answer as one key, the mean of theirs. Thumbnails and views are apart
from the keys, so that reading all keys at start touches no page of them. `position` grows and is
never used again: it orders lists and makes cursors. Each row has a checksum, and each version the
digest of all that was in force (see `indexer.checksums`): SQLite alone would not notice a flipped
byte.
"""

from __future__ import annotations

import sqlite3
from functools import cache

APPLICATION_ID = 0x584D4144
""""XMAD": tells a cache from any other SQLite file."""

SCHEMA_VERSION = 2

SCHEMA = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE versions (
    version INTEGER PRIMARY KEY,
    created REAL NOT NULL,
    action TEXT NOT NULL,
    subject TEXT,
    caller TEXT,
    classes INTEGER NOT NULL,
    shots INTEGER NOT NULL,
    digest BLOB NOT NULL,
    checksum BLOB NOT NULL
) STRICT;
CREATE TABLE classes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    label TEXT NOT NULL,
    created REAL NOT NULL
) STRICT;
CREATE INDEX classes_by_label ON classes (label);
CREATE TABLE class_states (
    id INTEGER PRIMARY KEY,
    class_id INTEGER NOT NULL REFERENCES classes (id),
    since INTEGER NOT NULL,
    until INTEGER,
    prompts TEXT,
    feature BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX class_states_in_force ON class_states (class_id) WHERE until IS NULL;
CREATE INDEX class_states_begun ON class_states (since);
CREATE INDEX class_states_ended ON class_states (until) WHERE until IS NOT NULL;
CREATE TABLE texts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    text TEXT NOT NULL UNIQUE,
    feature BLOB NOT NULL
) STRICT;
CREATE TABLE shots (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    text_id INTEGER REFERENCES texts (id),
    sha256 TEXT NOT NULL,
    created REAL NOT NULL,
    checksum BLOB NOT NULL,
    key BLOB NOT NULL
) STRICT;
CREATE INDEX shots_by_image ON shots (sha256);
CREATE INDEX shots_of_text ON shots (text_id) WHERE text_id IS NOT NULL;
CREATE TABLE extras (
    position INTEGER PRIMARY KEY REFERENCES shots (position),
    checksum BLOB NOT NULL,
    views BLOB,
    thumbnail BLOB
) STRICT;
CREATE TABLE placements (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    position INTEGER NOT NULL REFERENCES shots (position),
    since INTEGER NOT NULL,
    until INTEGER,
    class_id INTEGER NOT NULL REFERENCES classes (id),
    slot INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX placements_in_force ON placements (position) WHERE until IS NULL;
CREATE INDEX placements_of_class ON placements (class_id, position) WHERE until IS NULL;
CREATE INDEX placements_of_slot ON placements (slot);
CREATE INDEX placements_begun ON placements (since);
CREATE INDEX placements_ended ON placements (until) WHERE until IS NOT NULL;
CREATE TABLE fits (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    json TEXT NOT NULL,
    checksum BLOB NOT NULL
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
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    created REAL NOT NULL,
    version INTEGER NOT NULL,
    checksum BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_age ON requests (created);
"""

CHECKED = (
    "meta",
    "versions",
    "classes",
    "class_states",
    "texts",
    "shots",
    "placements",
    "requests",
    "fits",
    "derived_files",
)
"""Tables whose indices are compared with them when a cache is opened; of the others each row is
checked when it is read, by its own checksum or by the digest of what it describes."""


@cache
def expected() -> frozenset[tuple[str, str, str]]:
    """Type, name and SQL of all that a cache's file declares."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(SCHEMA)
        return frozenset(declared(connection))
    finally:
        connection.close()


def declared(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Type, name and SQL of all that this file declares."""
    return set(connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master"))
