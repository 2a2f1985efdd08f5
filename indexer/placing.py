"""Shots on their way into one class of a store, within a change."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence

import numpy as np

from indexer.change import Change
from indexer.checksums import checksum
from indexer.errors import ClassFull, LabelConflict
from indexer.records import Cap, Floats, Placed, StoredShot
from indexer.state import Source, content_of, known_text, merged_key


class Placing:
    """Puts shots into one class, within a change."""

    def __init__(
        self,
        source: Source,
        change: Change,
        target: int,
        label: str,
        cap: Cap | None,
    ) -> None:
        self._source = source
        self._connection = source.connection
        self._change = change
        self._target = target
        self._label = label
        self._cap = cap

    def put(self, shot: StoredShot, texts: Mapping[str, Floats], relabel: bool) -> Placed:
        """Insert one shot, or find the one with the same bytes."""
        query = """SELECT s.id, p.class_id, c.label, s.position, s.checksum, s.key FROM shots s
            JOIN placements p ON p.position = s.position AND p.until IS NULL
            JOIN classes c ON c.id = p.class_id WHERE s.sha256 = ?"""
        row = self._connection.execute(query, (shot.sha256,)).fetchone()
        if row is None:
            return self._insert(shot, texts)
        shot_id, present, label, position, content, key = row
        merged = False
        if present != self._target:
            if not relabel:
                raise LabelConflict(shot_id, label, self._label)
            merged = self.move(position, content, key)
        return Placed(shot_id, created=False, merged=merged)

    def move(self, position: int, content: bytes, key: bytes) -> bool:
        """Move a shot here; whether its key was merged."""
        slot = self._slot(key)
        self._change.displace(position)
        self._change.place(position, self._target, content, slot)
        return slot is not None

    def _insert(self, shot: StoredShot, texts: Mapping[str, Floats]) -> Placed:
        key = shot.key.tobytes()
        slot = self._slot(key)
        text_id, text = _text(self._source, shot.caption, texts)
        shot_id, now = uuid.uuid4().hex, time.time()
        content = content_of(shot_id, shot.sha256, now, text, key)
        position = self._connection.execute(
            """INSERT INTO shots (id, text_id, sha256, created, checksum, key)
            VALUES (?, ?, ?, ?, ?, ?)""",
            (shot_id, text_id, shot.sha256, now, content, key),
        ).lastrowid
        assert position is not None
        views = None if shot.views is None else shot.views.tobytes()
        extras = (position, views, shot.thumbnail)
        self._connection.execute(
            "INSERT INTO extras (position, views, thumbnail, checksum) VALUES (?, ?, ?, ?)",
            (*extras, checksum(*extras)),
        )
        self._change.place(position, self._target, content, slot)
        return Placed(shot_id, created=True, merged=slot is not None)

    def _slot(self, key: bytes) -> int | None:
        """The slot to merge a further key into; None where there is room for it."""
        if self._cap is None:
            return None
        query = """SELECT p.slot, s.key FROM placements p JOIN shots s ON s.position = p.position
            WHERE p.class_id = ? AND p.until IS NULL ORDER BY p.position"""
        keys: dict[int, list[bytes]] = {}
        for slot, stored in self._connection.execute(query, (self._target,)):
            keys.setdefault(slot, []).append(stored)
        if len(keys) < self._cap.most:
            return None
        if self._cap.beyond == "refuse":
            raise ClassFull(self._label, self._cap.most)
        means = np.stack([merged_key(_matrix(group)) for group in keys.values()])
        nearest = int(np.argmax(means @ np.frombuffer(key, np.float32)))
        return list(keys)[nearest]


def _matrix(keys: Sequence[bytes]) -> Floats:
    return np.stack([np.frombuffer(key, np.float32) for key in keys])


def _text(
    source: Source, caption: str | None, texts: Mapping[str, Floats]
) -> tuple[int | None, bytes | None]:
    """A caption's number and checksum; it is stored where it is new."""
    if caption is None:
        return None, None
    known = known_text(source, caption)
    if known is not None:
        return known
    feature = texts[caption].tobytes()
    statement = "INSERT INTO texts (text, feature) VALUES (?, ?)"
    number = source.connection.execute(statement, (caption, feature)).lastrowid
    return number, checksum(caption, feature)
