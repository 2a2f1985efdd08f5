"""The truth on disk: classes, shots, texts, fits and the version, in one SQLite file.

Every change is one transaction that is on disk when the method returns, and raises the version
by one (in `_bump`, nowhere else). What changes nothing leaves the version alone.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from indexer.database import Database
from indexer.errors import LabelConflict, UnknownShot
from indexer.reader import FILE, REQUEST_SECONDS, Reader, class_id
from indexer.records import DerivedFile, Floats, Origin, Placed, Request, StoredAdd, StoredShot


class Store(Reader):
    """The cache's file, opened. Make one with `Store.create`, then `Store(folder)`.

    All methods may be called from any thread.
    """

    @classmethod
    def create(cls, folder: Path, origin: Origin) -> None:
        """Make an empty store of version 0 in `folder`, which is made where it is missing."""
        meta = {
            "model": origin.model,
            "fingerprint": origin.fingerprint,
            "width": str(origin.width),
            "preprocessing": origin.preprocessing,
            "templates": json.dumps(origin.templates, ensure_ascii=False),
            "version": "0",
        }

        def fill(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())

        Database.create(folder / FILE, fill)

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether `folder` holds a store, sound or not."""
        return (folder / FILE).exists()

    def add(
        self,
        label: str,
        shots: Sequence[StoredShot],
        *,
        feature: Floats | None = None,
        texts: Mapping[str, Floats] | None = None,
        relabel: bool = False,
        request: Request | None = None,
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
            request: remember the answer under its key, for `answer`.

        Raises:
            LabelConflict: the same bytes have another label, and `relabel` is false.
            UnknownClass: no such class, and no feature to make it with.
        """
        with self._database.writing() as connection:
            target, created = _ensure_class(connection, label, feature)
            known = texts or {}
            placed = [_place(connection, target, label, shot, known, relabel) for shot in shots]
            if created or any(each.created or each.moved for each in placed):
                _bump(connection)
            result = StoredAdd(
                target, tuple(placed), _count(connection, target), _version(connection)
            )
            if request is not None:
                _remember(connection, request, result)
        return result

    def relabel(
        self, shot_id: str, label: str, *, feature: Floats | None = None
    ) -> tuple[int, int]:
        """Move a shot to another class; the class's number and the version.

        Raises:
            UnknownShot: no such shot.
            UnknownClass: no such class, and no text feature to make it with.
        """
        with self._database.writing() as connection:
            row = connection.execute(
                "SELECT class_id FROM shots WHERE id = ?", (shot_id,)
            ).fetchone()
            if row is None:
                raise UnknownShot(shot_id)
            target, _ = _ensure_class(connection, label, feature)
            if row[0] != target:
                _move(connection, shot_id, target)
                _bump(connection)
            return target, _version(connection)

    def forget(self, shot_id: str) -> int:
        """Delete a shot; the version. Raises UnknownShot."""
        with self._database.writing() as connection:
            query = "SELECT position, text_id FROM shots WHERE id = ?"
            row = connection.execute(query, (shot_id,)).fetchone()
            if row is None:
                raise UnknownShot(shot_id)
            connection.execute("DELETE FROM shots WHERE position = ?", row[:1])
            _drop_if_unused(connection, [row[1:]])
            return _bump(connection)

    def put_class(
        self, label: str, prompts: Sequence[str] | None, feature: Floats
    ) -> tuple[int, bool, int]:
        """Make a class, or change its prompts; its number, whether it is new, the version."""
        stored = None if prompts is None else json.dumps(list(prompts), ensure_ascii=False)
        with self._database.writing() as connection:
            created = connection.execute(
                """INSERT INTO classes (label, prompts, feature, created) VALUES (?, ?, ?, ?)
                ON CONFLICT (label) DO NOTHING""",
                (label, stored, feature.tobytes(), time.time()),
            ).rowcount
            changed = connection.execute(
                "UPDATE classes SET prompts = ?, feature = ? WHERE label = ? AND prompts IS NOT ?",
                (stored, feature.tobytes(), label, stored),
            ).rowcount
            if created or changed:
                _bump(connection)
            return class_id(connection, label), bool(created), _version(connection)

    def delete_class(self, label: str) -> tuple[int, int]:
        """Delete a class and its shots; how many shots, and the version. Raises UnknownClass."""
        with self._database.writing() as connection:
            target = class_id(connection, label)
            shots = _count(connection, target)
            query = "SELECT DISTINCT text_id FROM shots WHERE class_id = ?"
            texts = connection.execute(query, (target,)).fetchall()
            connection.execute("DELETE FROM classes WHERE id = ?", (target,))
            _drop_if_unused(connection, texts)
            return shots, _bump(connection)

    # Derived values: they follow from the shots, so they are no change of the cache.

    def set_meta(self, key: str, value: str) -> None:
        """Keep a fact about the cache as a whole."""
        with self._database.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def set_fit(self, name: str, text: str, version: int) -> None:
        """Keep numbers, as JSON, that were fitted to the shots of `version`."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO fits VALUES (?, ?, ?)", (name, version, text)
            )

    def set_derived_file(self, name: str, file: DerivedFile) -> None:
        """Keep the checksum of a derived file beside the store."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO derived_files VALUES (?, ?, ?, ?)",
                (name, file.version, file.shots, file.sha256),
            )


def _version(connection: sqlite3.Connection) -> int:
    return int(
        connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()[0],
    )


def _bump(connection: sqlite3.Connection) -> int:
    """The one place where the version changes."""
    version = _version(connection) + 1
    connection.execute("UPDATE meta SET value = ? WHERE key = 'version'", (str(version),))
    return version


def _count(connection: sqlite3.Connection, target: int) -> int:
    query = "SELECT count(*) FROM shots WHERE class_id = ?"
    return int(connection.execute(query, (target,)).fetchone()[0])


def _ensure_class(
    connection: sqlite3.Connection, label: str, feature: Floats | None
) -> tuple[int, bool]:
    """The class's number, and whether it was made here."""
    created = 0
    if feature is not None:
        created = connection.execute(
            """INSERT INTO classes (label, prompts, feature, created) VALUES (?, NULL, ?, ?)
            ON CONFLICT (label) DO NOTHING""",
            (label, feature.tobytes(), time.time()),
        ).rowcount
    return class_id(connection, label), bool(created)


def _place(
    connection: sqlite3.Connection,
    target: int,
    label: str,
    shot: StoredShot,
    texts: Mapping[str, Floats],
    relabel: bool,
) -> Placed:
    """Insert one shot, or find the one with the same bytes."""
    row = connection.execute(
        """SELECT s.id, s.class_id, coalesce(s.text_id, -1), c.label
        FROM shots s JOIN classes c ON c.id = s.class_id WHERE s.sha256 = ?""",
        (shot.sha256,),
    ).fetchone()
    if row is None:
        return _insert(connection, target, shot, texts)
    shot_id, present, text_id, present_label = row
    moved = present != target
    if moved:
        if not relabel:
            raise LabelConflict(shot_id, present_label, label)
        _move(connection, shot_id, target)
    return Placed(shot_id, created=False, moved=moved, text_id=text_id)


def _insert(
    connection: sqlite3.Connection, target: int, shot: StoredShot, texts: Mapping[str, Floats]
) -> Placed:
    text_id = None if shot.caption is None else _text_id(connection, shot.caption, texts)
    shot_id = uuid.uuid4().hex
    position = connection.execute(
        """INSERT INTO shots (id, class_id, text_id, sha256, created, key)
        VALUES (?, ?, ?, ?, ?, ?)""",
        (shot_id, target, text_id, shot.sha256, time.time(), shot.key.tobytes()),
    ).lastrowid
    views = None if shot.views is None else shot.views.tobytes()
    connection.execute("INSERT INTO extras VALUES (?, ?, ?)", (position, views, shot.thumbnail))
    return Placed(shot_id, created=True, moved=False, text_id=-1 if text_id is None else text_id)


def _text_id(connection: sqlite3.Connection, text: str, texts: Mapping[str, Floats]) -> int:
    row = connection.execute("SELECT id FROM texts WHERE text = ?", (text,)).fetchone()
    if row is not None:
        return int(row[0])
    statement = "INSERT INTO texts (text, feature) VALUES (?, ?) RETURNING id"
    return int(connection.execute(statement, (text, texts[text].tobytes())).fetchone()[0])


def _move(connection: sqlite3.Connection, shot_id: str, target: int) -> None:
    connection.execute("UPDATE shots SET class_id = ? WHERE id = ?", (target, shot_id))


def _drop_if_unused(connection: sqlite3.Connection, texts: Sequence[tuple[int | None]]) -> None:
    connection.executemany(
        """DELETE FROM texts
        WHERE id = ? AND NOT EXISTS (SELECT 1 FROM shots WHERE text_id = texts.id)""",
        texts,
    )


def _remember(connection: sqlite3.Connection, request: Request, result: StoredAdd) -> None:
    now = time.time()
    connection.execute("DELETE FROM requests WHERE created <= ?", (now - REQUEST_SECONDS,))
    connection.execute(
        "INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?)",
        (request.key, request.fingerprint, json.dumps(asdict(result)), now),
    )
