"""What was in force at a version, what differs between two, and the way back to one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from indexer.change import Change
from indexer.checksums import checksum, of_class, of_shot, packed
from indexer.database import damaged
from indexer.errors import UnknownVersion
from indexer.records import Difference, VersionInfo
from indexer.state import Source

_AT = "since <= :version AND (until IS NULL OR until > :version)"
_OF_VERSION = "version, created, action, subject, caller, classes, shots, digest, checksum"


@dataclass(frozen=True)
class Placement:
    """Where a shot was: its id, class and slot, and the checksum of what it is."""

    shot_id: str
    class_id: int
    slot: int
    content: bytes


@dataclass(frozen=True)
class ClassState:
    """What a class was: its label, and prompts and feature as they are stored."""

    label: str
    prompts: str | None
    feature: bytes


@dataclass(frozen=True)
class State:
    """All that was in force at a version.

    Attributes:
        classes: by number, oldest first.
        shots: by position, oldest first.
    """

    classes: dict[int, ClassState]
    shots: dict[int, Placement]


def versions(source: Source, before: int | None, limit: int) -> list[VersionInfo]:
    """The last versions below one, newest first. Raises CacheDamaged."""
    query = f"SELECT {_OF_VERSION} FROM versions WHERE version < ? ORDER BY version DESC LIMIT ?"
    newest = 2**62 if before is None else before
    return [
        _version_info(source, row)
        for row in source.connection.execute(query, (newest, limit)).fetchall()
    ]


def state_at(source: Source, version: int) -> State:
    """All that was in force at a version.

    Raises:
        UnknownVersion: it never was, or its history was compacted.
        CacheDamaged: what is found is not what was in force.
    """
    digest = _digest(source, version)
    classes = source.connection.execute(
        f"""SELECT c.id, c.label, c.created, s.prompts, s.feature FROM class_states s
        JOIN classes c ON c.id = s.class_id WHERE {_AT} ORDER BY c.id""",
        {"version": version},
    ).fetchall()
    shots = source.connection.execute(
        f"""SELECT p.position, s.id, p.class_id, p.slot, s.checksum FROM placements p
        JOIN shots s ON s.position = p.position WHERE {_AT} ORDER BY p.position""",
        {"version": version},
    ).fetchall()
    total = sum(of_class(*row) for row in classes)
    total += sum(of_shot(row[0], row[2], row[3], row[4]) for row in shots)
    if packed(total) != digest:
        raise damaged(source.path, f"what it holds of version {version} is not what that was")
    return State(
        {row[0]: ClassState(row[1], row[3], row[4]) for row in classes},
        {row[0]: Placement(*row[1:]) for row in shots},
    )


def differences(before: State, after: State) -> list[Difference]:
    """What differs: classes first, then shots, oldest first."""
    return [*_of_classes(before, after), *_of_shots(before, after)]


def restore(change: Change, now: State, target: State) -> None:
    """Have in force again what was in `target`, and nothing else."""
    for position, placement in now.shots.items():
        if target.shots.get(position) != placement:
            change.displace(position)
    for number in now.classes:
        if number not in target.classes:
            change.retire(number)
    for number, state in target.classes.items():
        if now.classes.get(number) != state:
            change.describe(number, state.prompts, state.feature)
    for position, placement in target.shots.items():
        if now.shots.get(position) != placement:
            change.place(position, placement.class_id, placement.content, placement.slot)


def erase(connection: sqlite3.Connection, oldest: int) -> None:
    """Delete for good what was in force before the version `oldest`, and not since."""
    for table in ("placements", "class_states"):
        connection.execute(f"DELETE FROM {table} WHERE until <= ?", (oldest,))
    unused = "SELECT position FROM placements"
    connection.execute(f"DELETE FROM extras WHERE position NOT IN ({unused})")
    connection.execute(f"DELETE FROM shots WHERE position NOT IN ({unused})")
    connection.execute(
        "DELETE FROM texts WHERE id NOT IN (SELECT text_id FROM shots WHERE text_id IS NOT NULL)"
    )
    connection.execute(
        """DELETE FROM classes WHERE id NOT IN (SELECT class_id FROM class_states)
        AND id NOT IN (SELECT class_id FROM placements)"""
    )
    connection.execute("DELETE FROM versions WHERE version < ?", (oldest,))


def _of_classes(before: State, after: State) -> Iterator[Difference]:
    for number in sorted(before.classes.keys() | after.classes.keys()):
        old, new = before.classes.get(number), after.classes.get(number)
        if new is None and old is not None:
            yield Difference("class_removed", old.label)
        elif old is None and new is not None:
            yield Difference("class_added", new.label)
        elif old != new and new is not None:
            yield Difference("class_changed", new.label)


def _of_shots(before: State, after: State) -> Iterator[Difference]:
    for position in sorted(before.shots.keys() | after.shots.keys()):
        old, new = before.shots.get(position), after.shots.get(position)
        if new is None and old is not None:
            label = before.classes[old.class_id].label
            yield Difference("shot_removed", label, old.shot_id)
        elif old is None and new is not None:
            yield Difference("shot_added", after.classes[new.class_id].label, new.shot_id)
        elif old is not None and new is not None and old != new:
            was = before.classes[old.class_id].label
            label = after.classes[new.class_id].label
            if was == label:
                yield Difference("shot_merged", label, new.shot_id)
            else:
                yield Difference("shot_relabelled", label, new.shot_id, was)


def _digest(source: Source, version: int) -> bytes:
    query = f"SELECT {_OF_VERSION} FROM versions WHERE version = ?"
    row = source.connection.execute(query, (version,)).fetchone()
    if row is None:
        bounds = "SELECT min(version), max(version) FROM versions"
        raise UnknownVersion(version, *source.connection.execute(bounds).fetchone())
    _version_info(source, row)
    return bytes(row[7])


def _version_info(source: Source, row: Any) -> VersionInfo:
    if checksum(*row[:8]) != row[8]:
        raise damaged(source.path, f"what it knows of version {row[0]} is not as it was written")
    version, created, action, subject, caller, classes, shots = row[:7]
    when = datetime.fromtimestamp(created, UTC)
    return VersionInfo(version, when, action, subject, caller, classes, shots)
