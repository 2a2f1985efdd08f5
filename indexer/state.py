"""What is in force in a cache's file: the rows that keys are made of, checked as they are read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from indexer.checksums import SIZE, checksum, of_class, of_shot, packed
from indexer.database import damaged
from indexer.errors import CacheDamaged
from indexer.records import ClassRow, Delta, Floats, Rows, ShotRows

_SHOT = "p.slot, s.position, p.class_id, s.id, s.text_id, s.sha256, s.created, s.checksum, s.key"
_LIGHT = 5
"""Of these, what is needed once a row has been checked."""
PART = 4096
_SHOTS = f"""SELECT {_SHOT} FROM placements p JOIN shots s ON s.position = p.position
    WHERE p.until IS NULL ORDER BY p.position"""
_CLASS = "c.id, c.label, c.created, s.prompts, s.feature"
_CLASSES = f"""SELECT {_CLASS} FROM class_states s JOIN classes c ON c.id = s.class_id
    WHERE s.until IS NULL ORDER BY c.id"""
_TOUCHED = """WITH touched AS (
    SELECT slot FROM placements WHERE since > :after
    UNION SELECT slot FROM placements WHERE until > :after)"""
OF_VERSION = "version, created, action, subject, caller, classes, shots, digest, checksum"
OF_REQUEST = "key, fingerprint, status, body, created, version, checksum"
_THEN = "{0}since <= :after AND ({0}until IS NULL OR {0}until > :after)"
_NOW = "+p.until IS NULL"


@dataclass(frozen=True)
class Source:
    """Where rows are read from: a connection in a snapshot, the file's path, and D."""

    connection: sqlite3.Connection
    path: Path
    width: int


@dataclass(frozen=True)
class _Text:
    """A caption: the checksum of its row, and its feature (D,)."""

    checksum: bytes
    feature: Floats


def read_rows(source: Source) -> Rows:
    """All classes, keys and captions in force.

    Raises:
        CacheDamaged: a row, or all of them together, are not what was written.
    """
    version, digest = _last(source)
    classes = source.connection.execute(_CLASSES).fetchall()
    texts = _texts(source, None)
    total = sum(of_class(*row) for row in classes)
    shots, keys = [], []
    # By parts, so that the keys are never there a second time, one by one.
    cursor = source.connection.execute(_SHOTS)
    while part := cursor.fetchmany(PART):
        total += sum(_part(source, row, texts) for row in part)
        keys.append(matrix(source, [row[-1] for row in part]))
        shots += [row[:_LIGHT] for row in part]
    if packed(total) != digest:
        raise damaged(source.path, f"its rows are not those of its version {version}")
    captions = {number: text.feature for number, text in texts.items()}
    merged = _shot_rows(shots, _joined(keys, source.width))
    return Rows(version, _class_rows(source, classes), merged, captions)


def read_delta(source: Source, after: int, most: int | None = None) -> Delta | None:
    """What has changed after a version.

    Args:
        source: of one moment.
        after: the version.
        most: keys that may have been touched.

    Returns:
        None where all rows must be read: the history is gone or not as it was written, or more
        keys were touched than `most`.

    Raises:
        CacheDamaged: a row in force is not what was written.
    """
    version, _ = _last(source)
    connection, then = source.connection, {"after": after}
    oldest = connection.execute("SELECT min(version) FROM versions").fetchone()[0]
    if after < oldest or after > version:
        return None
    if most is not None:
        query = f"{_TOUCHED} SELECT count(*) FROM touched"
        if connection.execute(query, then).fetchone()[0] > most:
            return None
    shots = _touched(source, then, _NOW)
    gone = _touched(source, then, _THEN.format("p."))
    wanted = {row[4] for row in (*shots, *gone) if row[4] is not None}
    texts = _texts(source, wanted)
    for row in shots:
        _part(source, row, texts)
    try:
        for row in gone:
            _part(source, row, texts)
    except CacheDamaged:
        # What is in force may be sound all the same.
        return None
    captions = {row[4] for row in shots}
    return Delta(
        version=version,
        shots_gone=_with_keys(source, gone),
        classes_gone=_classes_gone(source, then),
        classes=_classes_put(source, then),
        shots=_with_keys(source, shots),
        captions={number: text.feature for number, text in texts.items() if number in captions},
    )


def check_restored(source: Source, after: int) -> None:
    """Raise CacheDamaged where what came into force after a version is not as it was written."""
    then = {"after": after}
    shots = _touched(source, then, _NOW)
    texts = _texts(source, {row[4] for row in shots if row[4] is not None})
    for row in shots:
        _part(source, row, texts)
    _with_keys(source, shots)
    _classes_put(source, then)


def known_text(source: Source, caption: str) -> tuple[int, bytes] | None:
    """Number and checksum of a caption, if it is stored.

    Raises:
        CacheDamaged: its feature is not what it was when a shot came with it.
    """
    query = """SELECT t.id, t.feature, s.id, s.sha256, s.created, s.key, s.checksum FROM texts t
        LEFT JOIN shots s ON s.text_id = t.id WHERE t.text = ? LIMIT 1"""
    row = source.connection.execute(query, (caption,)).fetchone()
    if row is None:
        return None
    number, feature, shot_id, sha256, created, key, expected = row
    text = checksum(caption, feature)
    if content_of(shot_id, sha256, created, text, key) != expected:
        raise damaged(source.path, f"a caption of shot {shot_id} is not as it was written")
    return number, text


def prompts_of(stored: str | None) -> tuple[str, ...] | None:
    """A class's own prompts, as they are stored."""
    return None if stored is None else tuple(json.loads(stored))


def content_of(shot_id: str, sha256: str, created: float, text: bytes | None, key: bytes) -> bytes:
    """The checksum of a shot; `text` is its caption's."""
    # In one piece, unlike `checksum`: this is most of what opening a large cache costs.
    head = f"{shot_id} {sha256} {created!r} ".encode()
    return blake2b(head + (text or b"") + b" " + key, digest_size=SIZE).digest()


def merged_key(keys: Floats) -> Floats:
    """(D,): the unit mean of unit keys (n, D), which is what merged shots answer with."""
    mean = keys.astype(np.float64).mean(0)
    norm = float(np.linalg.norm(mean))
    # Opposite keys have no mean direction.
    key: Floats = (mean / norm).astype(np.float32) if norm > 1e-6 else keys[0]
    return key


def _last(source: Source) -> tuple[int, bytes]:
    query = f"SELECT {OF_VERSION} FROM versions ORDER BY version DESC LIMIT 1"
    row = source.connection.execute(query).fetchone()
    if row is None:
        raise damaged(source.path, "it knows no version")
    check_version_row(source, row)
    return int(row[0]), bytes(row[7])


def check_version_row(source: Source, row: Any) -> None:
    """Raise CacheDamaged where a row of `OF_VERSION` is not as it was written."""
    if checksum(*row[:8]) != row[8]:
        raise damaged(source.path, f"what it knows of version {row[0]} is not as it was written")


def _part(source: Source, row: Any, texts: Mapping[int, _Text]) -> int:
    """A shot's part of the digest, once its row is found sound."""
    slot, position, class_id, shot_id, text_id, sha256, created, expected, key = row
    text = texts.get(text_id)
    found = content_of(shot_id, sha256, created, None if text is None else text.checksum, key)
    if found != expected:
        raise damaged(source.path, f"shot {shot_id} is not as it was written")
    return of_shot(position, class_id, slot, found)


def _touched(source: Source, then: Mapping[str, int], condition: str) -> list[Any]:
    """Rows of `_SHOT`, with their keys, of slots in which anything changed after a version."""
    # In this order of the tables, and by slot: else all that is in force would be walked.
    query = f"""{_TOUCHED} SELECT {_SHOT} FROM touched t
        CROSS JOIN placements p ON p.slot = t.slot CROSS JOIN shots s ON s.position = p.position
        WHERE {condition} ORDER BY p.position"""
    return source.connection.execute(query, then).fetchall()


def _texts(source: Source, wanted: set[int] | None) -> dict[int, _Text]:
    """Captions by number: those wanted, or all that there are."""
    query = "SELECT id, text, feature FROM texts"
    if wanted is None:
        rows: Iterable[Any] = source.connection.execute(query).fetchall()
    else:
        one = f"{query} WHERE id = ?"
        rows = [source.connection.execute(one, (number,)).fetchone() for number in sorted(wanted)]
    found = [row for row in rows if row is not None]
    features = matrix(source, [row[2] for row in found])
    return {
        row[0]: _Text(checksum(row[1], row[2]), feature)
        for row, feature in zip(found, features, strict=True)
    }


def _class_rows(source: Source, rows: Sequence[Any]) -> list[ClassRow]:
    features = matrix(source, [row[4] for row in rows])
    return [
        ClassRow(row[0], row[1], prompts_of(row[3]), feature)
        for row, feature in zip(rows, features, strict=True)
    ]


def _classes_gone(source: Source, then: Mapping[str, int]) -> list[str]:
    query = f"""SELECT c.label FROM class_states s JOIN classes c ON c.id = s.class_id
        WHERE s.until > :after AND {_THEN.format("s.")} AND NOT EXISTS
        (SELECT 1 FROM class_states n WHERE n.class_id = s.class_id AND n.until IS NULL)"""
    return [row[0] for row in source.connection.execute(query, then)]


def _classes_put(source: Source, then: Mapping[str, int]) -> list[ClassRow]:
    query = f"""SELECT {_CLASS} FROM class_states s CROSS JOIN classes c ON c.id = s.class_id
        WHERE +s.until IS NULL AND s.since > :after ORDER BY c.id"""
    return _class_rows(source, source.connection.execute(query, then).fetchall())


def _with_keys(source: Source, rows: Sequence[Any]) -> ShotRows:
    return _shot_rows(rows, matrix(source, [row[-1] for row in rows]))


def _joined(parts: list[Floats], width: int) -> Floats:
    """(n, D) of some of them each; `parts` is empty afterwards."""
    joined = np.empty((sum(map(len, parts)), width), np.float32)
    end = len(joined)
    # From the end, each let go of once it is copied.
    while parts:
        part = parts.pop()
        joined[end - len(part) : end] = part
        end -= len(part)
    return joined


def _shot_rows(rows: Sequence[Any], keys: Floats) -> ShotRows:
    """Rows of `_SHOT` and their keys by slot, in the order of the oldest shot of each."""
    slots = np.array([row[0] for row in rows], dtype=np.int64)
    _, first, members = np.unique(slots, return_index=True, return_inverse=True)
    if len(first) < len(rows):
        for slot in np.flatnonzero(np.bincount(members) > 1).tolist():
            keys[first[slot]] = merged_key(keys[members == slot])
        leaders = np.sort(first)
        rows, keys = [rows[at] for at in leaders.tolist()], keys[leaders]
    return ShotRows(
        ids=[row[3] for row in rows],
        class_ids=np.array([row[2] for row in rows], dtype=np.int64),
        text_ids=np.array([-1 if row[4] is None else row[4] for row in rows], dtype=np.int64),
        keys=keys,
    )


def matrix(source: Source, rows: Sequence[bytes]) -> Floats:
    """(n, D) from n stored rows, checked: a wrong one would spoil every answer.

    Raises:
        CacheDamaged: another width, or numbers that are not finite.
    """
    expected = 4 * source.width
    wrong = next((len(row) for row in rows if len(row) != expected), None)
    if wrong is not None:
        raise damaged(source.path, f"expected features of {expected} bytes, got {wrong}")
    found = np.frombuffer(bytearray().join(rows), np.float32).reshape(-1, source.width)
    if not np.isfinite(found).all():
        raise damaged(source.path, "a feature holds numbers that are not finite")
    return found
