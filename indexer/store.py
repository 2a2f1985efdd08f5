"""The truth on disk: classes, shots, texts, fits and the version, in one SQLite file.

Every change is one transaction that is on disk when the method returns, and raises the version
by one. What changes nothing leaves the version alone. Within `group` several changes share one
transaction, and are on disk when that ends.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from indexer import clock, history
from indexer.change import Change, insert_version
from indexer.checksums import checksum, meta_checksum, packed
from indexer.database import Database
from indexer.errors import UnknownShot
from indexer.placing import Placing
from indexer.reader import FILE, Reader, class_id, find_class
from indexer.records import (
    Cap,
    DerivedFile,
    Floats,
    Origin,
    Reply,
    Request,
    StoredAdd,
    StoredShot,
)
from indexer.state import check_restored


class Store(Reader):
    """The cache's file, opened. Make one with `Store.create`, then `Store(folder)`.

    All methods may be called from any thread; `caller` is the name that the history keeps.
    """

    @classmethod
    def create(cls, folder: Path, origin: Origin) -> None:
        """Make an empty store of version 0 in `folder`, which is made where it is missing.

        Raises:
            FileExistsError: there is one already.
        """
        meta = {
            "model": origin.model,
            "fingerprint": origin.fingerprint,
            "width": str(origin.width),
            "preprocessing": origin.preprocessing,
            "templates": json.dumps(origin.templates, ensure_ascii=False),
        }

        def fill(connection: sqlite3.Connection) -> None:
            _write_meta(connection, meta)
            insert_version(connection, 0, "create", None, None, 0, 0, packed(0))

        Database.create(folder / FILE, fill)

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether `folder` holds a store, sound or not."""
        return (folder / FILE).exists()

    def group(self) -> AbstractContextManager[object]:
        """Changes of this thread within it are on disk together when it ends, or none is.

        One that raises is undone alone.
        """
        return self._database.writing()

    def add(
        self,
        label: str,
        shots: Sequence[StoredShot],
        *,
        feature: Floats | None = None,
        texts: Mapping[str, Floats] | None = None,
        relabel: bool = False,
        cap: Cap | None = None,
        caller: str | None = None,
    ) -> StoredAdd:
        """Add shots to a class: all of them, or none if one raises.

        Bytes that are already a shot of the class are not added again; those of another class
        move here if `relabel`.

        Args:
            label: of all the shots; a class is made where there is none.
            shots: may hold duplicates, of each other too.
            feature: (D,) text feature of the class, used where it has to be made.
            texts: caption -> (D,) feature, of the captions that the store does not know yet.
            relabel: move an image that has another label.
            cap: what becomes of shots beyond the most that a class may have.

        Raises:
            LabelConflict: the same bytes have another label, and `relabel` is false.
            ClassFull: there are too many, and `cap` says to refuse.
            UnknownClass: no such class, and no feature to make it with.
        """
        with self._changing("add", label, caller) as (connection, change):
            target = _ensure_class(connection, change, label, feature)
            with self.source() as source:
                place = Placing(source, change, target, label, cap)
                placed = tuple(place.put(shot, texts or {}, relabel) for shot in shots)
            total = _count(connection, target)
        return StoredAdd(placed, total, change.current)

    def relabel(
        self,
        shot_id: str,
        label: str,
        *,
        feature: Floats | None = None,
        cap: Cap | None = None,
        caller: str | None = None,
    ) -> int:
        """Move a shot to another class; the version.

        Raises:
            UnknownShot: no such shot.
            UnknownClass: no such class, and no text feature to make it with.
            ClassFull: see `add`.
        """
        with self._changing("relabel", shot_id, caller) as (connection, change):
            query = """SELECT p.position, p.class_id, s.checksum, s.key FROM shots s
                JOIN placements p ON p.position = s.position AND p.until IS NULL WHERE s.id = ?"""
            row = connection.execute(query, (shot_id,)).fetchone()
            if row is None:
                raise UnknownShot(shot_id)
            if find_class(connection, label) != row[1]:
                target = _ensure_class(connection, change, label, feature)
                with self.source() as source:
                    Placing(source, change, target, label, cap).move(row[0], row[2], row[3])
        return change.current

    def forget(self, shot_id: str, *, caller: str | None = None) -> int:
        """Take a shot away; the version. Raises UnknownShot."""
        with self._changing("forget", shot_id, caller) as (connection, change):
            query = """SELECT p.position FROM shots s
                JOIN placements p ON p.position = s.position AND p.until IS NULL WHERE s.id = ?"""
            row = connection.execute(query, (shot_id,)).fetchone()
            if row is None:
                raise UnknownShot(shot_id)
            change.displace(row[0])
        return change.current

    def put_class(
        self,
        label: str,
        prompts: Sequence[str] | None,
        feature: Floats,
        *,
        caller: str | None = None,
    ) -> tuple[bool, int]:
        """Make a class, or change its prompts; whether it is new, and the version."""
        stored = None if prompts is None else json.dumps(list(prompts), ensure_ascii=False)
        with self._changing("put_class", label, caller) as (connection, change):
            target = find_class(connection, label)
            created = target is None
            if target is None:
                target = _new_class(connection, label)
            query = "SELECT prompts FROM class_states WHERE class_id = ? AND until IS NULL"
            row = connection.execute(query, (target,)).fetchone()
            if row is None or row[0] != stored:
                change.describe(target, stored, feature.tobytes())
        return created, change.current

    def delete_class(self, label: str, *, caller: str | None = None) -> tuple[int, int]:
        """Take a class and its shots away; how many shots, and the version. Raises UnknownClass."""
        with self._changing("delete_class", label, caller) as (connection, change):
            target = class_id(connection, label)
            query = "SELECT position FROM placements WHERE class_id = ? AND until IS NULL"
            positions = connection.execute(query, (target,)).fetchall()
            for (position,) in positions:
                change.displace(position)
            change.retire(target)
        return len(positions), change.current

    def rollback(self, version: int, *, caller: str | None = None) -> int:
        """Have in force again what was at a version, as a further version; its number.

        Raises:
            UnknownVersion: there is no such version.
            CacheDamaged: what is found of it is not what it was.
        """
        with (
            self._changing("rollback", str(version), caller) as (_, change),
            self.source() as source,
        ):
            now, target = history.compared(source, change.version - 1, version)
            history.restore(change, now, target)
            # Of shots that come back, the keys and captions too must be as they were.
            check_restored(source, change.version - 1)
        return change.current

    def compact(self, keep: int = 0) -> None:
        """Erase the history before the last `keep` versions, and give its room back to the disk.

        What was forgotten before is gone for good then, and overwritten.
        """
        with self._database.writing() as connection:
            oldest = max(self.version - keep, 0)
            bounds = connection.execute("SELECT min(version) FROM versions").fetchone()
            history.erase(connection, max(oldest, bounds[0]))
        self._database.maintain("VACUUM")
        self._database.maintain("PRAGMA wal_checkpoint(TRUNCATE)")

    def remember(self, request: Request, reply: Reply) -> None:
        """Keep an answer under its idempotency key; in a `group`, together with its change."""
        now = clock.now()
        with self._database.writing() as connection:
            fields = (
                request.key,
                request.fingerprint,
                reply.status,
                reply.body,
                now,
                self.version,
            )
            connection.execute("DELETE FROM requests WHERE created <= ?", (now - request.kept,))
            connection.execute(
                "INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*fields, checksum(*fields)),
            )

    # Derived values: they follow from the shots, so they are no change of the cache.

    def set_meta(self, key: str, value: str) -> None:
        """Keep a fact about the cache as a whole."""
        with self._database.writing() as connection:
            meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
            meta.pop("checksum", None)
            _write_meta(connection, {**meta, key: value})

    def set_fit(self, name: str, text: str, version: int) -> None:
        """Keep numbers, as JSON, that were fitted to the shots of `version`, unless older."""
        with self._database.writing() as connection:
            connection.execute(
                """INSERT INTO fits (name, version, json, checksum) VALUES (?, ?, ?, ?)
                ON CONFLICT (name) DO UPDATE SET version = excluded.version,
                json = excluded.json, checksum = excluded.checksum
                WHERE excluded.version > version OR excluded.version = version
                AND (excluded.json <> json OR excluded.checksum <> checksum)""",
                (name, version, text, checksum(name, text, version)),
            )

    def set_derived_file(self, name: str, file: DerivedFile) -> None:
        """Keep the checksum of a derived file beside the store."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO derived_files VALUES (?, ?, ?, ?)",
                (name, file.version, file.shots, file.sha256),
            )

    @contextlib.contextmanager
    def _changing(
        self, action: str, subject: str | None, caller: str | None
    ) -> Iterator[tuple[sqlite3.Connection, Change]]:
        """A transaction, or a part of one, that makes at most one version."""
        with self._database.writing() as connection:
            change = Change(connection)
            yield connection, change
            change.finish(action, subject, caller)


def _write_meta(connection: sqlite3.Connection, meta: Mapping[str, str]) -> None:
    rows = [*meta.items(), ("checksum", meta_checksum(meta))]
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)


def _count(connection: sqlite3.Connection, target: int) -> int:
    query = "SELECT count(*) FROM placements WHERE class_id = ? AND until IS NULL"
    return int(connection.execute(query, (target,)).fetchone()[0])


def _ensure_class(
    connection: sqlite3.Connection, change: Change, label: str, feature: Floats | None
) -> int:
    """The class's number; it is made where there is none."""
    if feature is None or (found := find_class(connection, label)) is not None:
        return class_id(connection, label)
    found = _new_class(connection, label)
    change.describe(found, None, feature.tobytes())
    return found


def _new_class(connection: sqlite3.Connection, label: str) -> int:
    query = "INSERT INTO classes (label, created) VALUES (?, ?)"
    number = connection.execute(query, (label, time.time())).lastrowid
    assert number is not None
    return number
