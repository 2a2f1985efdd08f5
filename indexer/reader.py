"""What can be asked of the store: pages for people, rows for the indices."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from indexer import clock, history
from indexer.checksums import checksum, meta_checksum
from indexer.database import Database, damaged
from indexer.errors import (
    CacheDamaged,
    IdempotencyConflict,
    UnknownClass,
    UnknownShot,
)
from indexer.migration import migrate
from indexer.paging import cursor_position, page_of
from indexer.records import (
    ClassInfo,
    Delta,
    DerivedFile,
    Difference,
    Floats,
    Origin,
    Page,
    Reply,
    Request,
    Rows,
    ShotInfo,
    VersionInfo,
)
from indexer.state import OF_REQUEST, Source, prompts_of, read_delta, read_rows
from indexer.unread import check_answers, check_numbers

FILE = "cache.sqlite3"
_IN_FORCE = """placements p JOIN shots s ON s.position = p.position
    JOIN classes c ON c.id = p.class_id"""
# The oldest of the shots that share a key is the one that it goes by.
_SHOT = f"""SELECT s.position, s.id, c.label, t.text, s.created, s.sha256,
    (SELECT f.id FROM placements q JOIN shots f ON f.position = q.position
        WHERE q.slot = p.slot AND q.until IS NULL ORDER BY q.position LIMIT 1)
    FROM {_IN_FORCE} LEFT JOIN texts t ON t.id = s.text_id WHERE p.until IS NULL"""
_EXTRAS = """SELECT s.position, e.checksum, e.views, e.thumbnail
    FROM shots s JOIN placements p ON p.position = s.position AND p.until IS NULL
    LEFT JOIN extras e ON e.position = s.position"""
_CLASS = """SELECT c.id, c.label, s.prompts, c.created,
    (SELECT count(*) FROM placements p WHERE p.class_id = c.id AND p.until IS NULL)
    FROM class_states s JOIN classes c ON c.id = s.class_id WHERE s.until IS NULL"""


class Reader:
    """The reading half of `Store`. All methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        """Open the store in `folder`; one of an earlier program is brought up to date.

        Raises:
            CacheMissing, CacheDamaged, CacheMismatch: see indexer.errors.
        """
        self.folder = folder
        self._database = Database(folder / FILE, migrate)
        try:
            self.origin = self._read_origin()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file. What was acknowledged is on disk already."""
        self._database.close()

    @property
    def version(self) -> int:
        """How many changes there have been, by whomever."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT max(version) FROM versions").fetchone()
        return int(row[0] or 0)

    @property
    def width(self) -> int:
        """D."""
        return self.origin.width

    def meta(self, key: str) -> str | None:
        """One fact about the cache as a whole."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def counts(self) -> tuple[int, int]:
        """How many classes and shots there are."""
        query = "SELECT classes, shots FROM versions ORDER BY version DESC LIMIT 1"
        with self._database.reading() as connection:
            classes, shots = connection.execute(query).fetchone()
        return classes, shots

    def snapshot(self) -> AbstractContextManager[None]:
        """Within it, this thread reads one state of the cache, whoever writes meanwhile."""
        return self._database.snapshot()

    def check(self) -> None:
        """Look at pages, and compare indices with tables; of rows, check what reading would miss.

        Raises:
            CacheDamaged: something is not as it was written.
        """
        self._database.check_pages()
        with self.snapshot(), self.source() as source:
            check_answers(source, self.version)
            check_numbers(source)

    def rows(self) -> Rows:
        """Classes, keys and captions of one moment. Raises CacheDamaged."""
        with self.snapshot(), self.source() as source:
            return read_rows(source)

    def delta(self, after: int, most: int | None = None) -> Delta | None:
        """What has changed after a version; None where `rows` must be read. Raises CacheDamaged.

        `most` is of the keys that may have been touched; more of them are quicker read all anew.
        """
        with self.snapshot(), self.source() as source:
            return read_delta(source, after, most)

    def versions(self, limit: int = 100, cursor: str | None = None) -> Page[VersionInfo]:
        """A page of versions, newest first. Raises CursorError or CacheDamaged."""
        before = None if cursor is None else cursor_position(cursor)
        with self.source() as source:
            found = history.versions(source, before, limit + 1)
        more = len(found) > limit
        found = found[:limit]
        return Page(tuple(found), str(found[-1].version) if more else None)

    def differences(self, before: int, after: int) -> list[Difference]:
        """What differs between two versions, whichever is the later.

        Raises:
            UnknownVersion: there is no such version.
            CacheDamaged: what is found of one is not what it was.
        """
        with self.snapshot(), self.source() as source:
            states = history.compared(source, before, after)
        return history.differences(*states)

    def check_version(self, version: int) -> None:
        """Raise UnknownVersion where there is no such version, or CacheDamaged."""
        with self.source() as source:
            history.check_version(source, version)

    def has_class(self, label: str) -> bool:
        """Whether there is such a class."""
        with self._database.reading() as connection:
            return find_class(connection, label) is not None

    def unknown_texts(self, texts: Iterable[str]) -> list[str]:
        """Those of `texts` that have no stored feature, each once, in their order."""
        query = "SELECT 1 FROM texts WHERE text = ?"
        with self._database.reading() as connection:
            return [
                text
                for text in dict.fromkeys(texts)
                if connection.execute(query, (text,)).fetchone() is None
            ]

    def find(self, sha256: str) -> tuple[str, str] | None:
        """Id and label of the shot with these bytes, if there is one."""
        query = f"SELECT s.id, c.label FROM {_IN_FORCE} WHERE p.until IS NULL AND s.sha256 = ?"
        with self._database.reading() as connection:
            row = connection.execute(query, (sha256,)).fetchone()
        return None if row is None else (str(row[0]), str(row[1]))

    def shot(self, shot_id: str) -> ShotInfo:
        """One shot. Raises UnknownShot."""
        with self._database.reading() as connection:
            row = connection.execute(f"{_SHOT} AND s.id = ?", (shot_id,)).fetchone()
        if row is None:
            raise UnknownShot(shot_id)
        return _shot_info(row)

    def thumbnail(self, shot_id: str) -> bytes | None:
        """A shot's thumbnail (WebP), None if it came without an image.

        Raises:
            UnknownShot: no such shot.
            CacheDamaged: it is not as it was written.
        """
        return self._extras(shot_id)[1]

    def views(self, shot_id: str) -> Floats | None:
        """(v, D): the features that a shot's key is the mean of, if kept. Raises as above."""
        return self._extras(shot_id)[0]

    def all_views(self) -> list[Floats | None]:
        """Of each key of `rows`, what `views` gives; None for a key of several shots."""
        query = f"{_EXTRAS} ORDER BY p.position".replace("SELECT", "SELECT p.slot,", 1)
        with self._database.reading() as connection:
            found: dict[int, Floats | None] = {}
            for slot, *row in connection.execute(query):
                found[slot] = None if slot in found else self._checked(row)[0]
        return list(found.values())

    def shots(self, label: str | None, limit: int, cursor: str | None) -> Page[ShotInfo]:
        """A page of shots, oldest first; of one class if a label is given.

        Raises:
            UnknownClass: no such label.
            CursorError: not a cursor of this list.
        """
        after = cursor_position(cursor)
        with self._database.reading() as connection:
            if label is None:
                query, wanted = f"{_SHOT} AND p.position > ?", [after]
            else:
                query = f"{_SHOT} AND p.class_id = ? AND p.position > ?"
                wanted = [class_id(connection, label), after]
            query += " ORDER BY p.position LIMIT ?"
            rows = connection.execute(query, [*wanted, limit + 1]).fetchall()
        return page_of(rows, limit, _shot_info)

    def classes(self, limit: int, cursor: str | None) -> Page[ClassInfo]:
        """A page of classes, oldest first. Raises CursorError."""
        query = f"{_CLASS} AND c.id > ? ORDER BY c.id LIMIT ?"
        with self._database.reading() as connection:
            rows = connection.execute(query, (cursor_position(cursor), limit + 1)).fetchall()
        return page_of(rows, limit, _class_info)

    def class_info(self, label: str) -> ClassInfo:
        """One class. Raises UnknownClass."""
        with self._database.reading() as connection:
            wanted = class_id(connection, label)
            row = connection.execute(f"{_CLASS} AND c.id = ?", (wanted,)).fetchone()
        return _class_info(row)

    def fit(self, name: str) -> tuple[str, int] | None:
        """The numbers last fitted under this name, as JSON, and the version they saw."""
        query = """SELECT json, version, checksum FROM fits
            WHERE name = ? AND version <= (SELECT max(version) FROM versions)"""
        with self._database.reading() as connection:
            row = connection.execute(query, (name,)).fetchone()
        # Fitted numbers can be had again; damaged ones are as good as none.
        if row is None or checksum(name, row[0], row[1]) != row[2]:
            return None
        return str(row[0]), int(row[1])

    def derived_file(self, name: str) -> DerivedFile | None:
        """What is known of a derived file of this name."""
        query = "SELECT version, shots, sha256 FROM derived_files WHERE name = ?"
        with self._database.reading() as connection:
            row = connection.execute(query, (name,)).fetchone()
        return None if row is None else DerivedFile(*row)

    def answer(self, request: Request) -> Reply | None:
        """What was answered under this idempotency key, if it came before.

        Raises:
            IdempotencyConflict: it came before with another request.
            CacheDamaged: the answer is not as it was written.
        """
        query = f"SELECT {OF_REQUEST} FROM requests WHERE key = ? AND created > ?"
        with self._database.reading() as connection:
            row = connection.execute(query, (request.key, clock.now() - request.kept)).fetchone()
        if row is None:
            return None
        _, fingerprint, status, body, *_, expected = row
        if checksum(*row[:-1]) != expected:
            raise self._damaged(f"the answer under the idempotency key {request.key!r}")
        if fingerprint != request.fingerprint:
            raise IdempotencyConflict(
                "the idempotency key came before with another request: expected the same request "
                "again, or a new key"
            )
        return Reply(status, body)

    def has_answer(self, key: str) -> bool:
        """Whether an answer is kept under this idempotency key, to whatever was asked."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT 1 FROM requests WHERE key = ?", (key,)).fetchone()
        return row is not None

    def _read_origin(self) -> Origin:
        with self._database.reading() as connection:
            meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        if meta.pop("checksum", None) != meta_checksum(meta):
            raise self._damaged("its own description is not as it was written")
        try:
            return Origin(
                model=meta["model"],
                fingerprint=meta["fingerprint"],
                width=int(meta["width"]),
                preprocessing=meta["preprocessing"],
                templates=tuple(json.loads(meta["templates"])),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise self._damaged(f"its own description is unreadable: {error!r}") from error

    def _damaged(self, reason: str) -> CacheDamaged:
        return damaged(self._database.path, reason)

    @contextlib.contextmanager
    def source(self) -> Iterator[Source]:
        """Where the rows themselves are read from."""
        with self._database.reading() as connection:
            yield Source(connection, self._database.path, self.width)

    def _extras(self, shot_id: str) -> tuple[Floats | None, bytes | None]:
        with self._database.reading() as connection:
            row = connection.execute(f"{_EXTRAS} WHERE s.id = ?", (shot_id,)).fetchone()
        if row is None:
            raise UnknownShot(shot_id)
        return self._checked(row)

    def _checked(self, row: Sequence[Any]) -> tuple[Floats | None, bytes | None]:
        """Views and thumbnail of a row of extras, once it is found sound."""
        position, expected, views, thumbnail = row
        if expected != checksum(position, views, thumbnail):
            raise self._damaged("views or thumbnail of a shot are not as they were written")
        if views is None:
            return None, thumbnail
        halves = np.frombuffer(views, np.float16).reshape(-1, self.width)
        return halves.astype(np.float32), thumbnail


def find_class(connection: sqlite3.Connection, label: str) -> int | None:
    """The number of the class with this label, if there is one."""
    query = """SELECT c.id FROM classes c JOIN class_states s ON s.class_id = c.id
        WHERE c.label = ? AND s.until IS NULL"""
    row = connection.execute(query, (label,)).fetchone()
    return None if row is None else int(row[0])


def class_id(connection: sqlite3.Connection, label: str) -> int:
    """The number of the class with this label. Raises UnknownClass, with the closest labels."""
    found = find_class(connection, label)
    if found is None:
        query = """SELECT c.label FROM class_states s JOIN classes c ON c.id = s.class_id
            WHERE s.until IS NULL"""
        raise UnknownClass(label, (row[0] for row in connection.execute(query)))
    return found


def _shot_info(row: Any) -> ShotInfo:
    _, shot_id, label, caption, created, sha256, leader = row
    when = datetime.fromtimestamp(created, UTC)
    merged_into = None if leader == shot_id else leader
    return ShotInfo(shot_id, label, caption, when, sha256, merged_into)


def _class_info(row: Any) -> ClassInfo:
    _, label, prompts, created, shots = row
    return ClassInfo(label, prompts_of(prompts), shots, datetime.fromtimestamp(created, UTC))
