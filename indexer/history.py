"""What was in force at a version, what differs between two, and the way back to one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from indexer.change import Change
from indexer.checksums import of_class, of_shot, packed
from indexer.database import damaged
from indexer.errors import UnknownVersion
from indexer.records import Difference, VersionInfo
from indexer.state import OF_VERSION, Source, check_version_row

_ENDED = "since <= :low AND until > :low AND until <= :high"
_BEGUN = "since > :low AND since <= :high AND (until IS NULL OR until > :high)"
# With the keys that changed hands, those that only their other shots left or joined.
_IN_TOUCHED = """p.slot IN (SELECT slot FROM placements WHERE since > :low AND since <= :high
        UNION SELECT slot FROM placements WHERE until > :low AND until <= :high)
    AND p.since <= :at AND (p.until IS NULL OR p.until > :at)"""
_SHARING = """SELECT group_concat(position) FROM (SELECT q.position FROM placements q
    WHERE q.slot = p.slot AND q.since <= :at AND (q.until IS NULL OR q.until > :at)
    ORDER BY q.position)"""


@dataclass(frozen=True)
class Placement:
    """Where a shot was.

    Attributes:
        shot_id: its id.
        class_id, slot: where.
        content: the checksum of what it is.
        label: of the class.
        sharing: positions of all shots of the slot, with commas between them.
    """

    shot_id: str
    class_id: int
    slot: int
    content: bytes
    label: str = field(compare=False)
    sharing: str = field(compare=False)


@dataclass(frozen=True)
class ClassState:
    """What a class was: its label, and prompts and feature as they are stored."""

    label: str
    prompts: str | None
    feature: bytes


@dataclass(frozen=True)
class State:
    """Of what was in force at one of two versions, all that was not so at the other.

    With them the shots that were in place at both, if others have come to share their keys, or
    have left them.

    Attributes:
        classes: by number.
        shots: by position.
    """

    classes: dict[int, ClassState]
    shots: dict[int, Placement]


def versions(source: Source, before: int | None, limit: int) -> list[VersionInfo]:
    """The last versions below one, newest first. Raises CacheDamaged."""
    query = f"SELECT {OF_VERSION} FROM versions WHERE version < ? ORDER BY version DESC LIMIT ?"
    newest = 2**62 if before is None else before
    return [
        version_info(source, row)
        for row in source.connection.execute(query, (newest, limit)).fetchall()
    ]


def compared(source: Source, before: int, after: int) -> tuple[State, State]:
    """What was in force at one version and not at the other, for each of two.

    It costs as much as there is between them, whatever the cache holds besides.

    Raises:
        UnknownVersion: one never was, or its history was compacted.
        CacheDamaged: what is found is not what was in force.
    """
    digests = {version: _digest(source, version) for version in (before, after)}
    low, high = sorted((before, after))
    gone, gone_sum = _state(source, _ENDED, {"low": low, "high": high, "at": low})
    come, come_sum = _state(source, _BEGUN, {"low": low, "high": high, "at": high})
    if packed(int.from_bytes(digests[low]) - gone_sum + come_sum) != digests[high]:
        raise damaged(
            source.path, f"what it holds of the versions {low} to {high} is not what they were"
        )
    return (gone, come) if before <= after else (come, gone)


def check_version(source: Source, version: int) -> None:
    """Raise UnknownVersion where there is no such version, or CacheDamaged."""
    _digest(source, version)


def differences(before: State, after: State) -> list[Difference]:
    """What differs: classes first, then shots, oldest first."""
    return [*_of_classes(before, after), *_of_shots(before, after)]


def restore(change: Change, now: State, target: State) -> None:
    """Have in force again what was so at another version; `compared` gave both."""
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
            yield Difference("shot_removed", old.label, old.shot_id)
        elif old is None and new is not None:
            yield Difference("shot_added", new.label, new.shot_id)
        elif old is not None and new is not None:
            if old.label != new.label:
                yield Difference("shot_relabelled", new.label, new.shot_id, old.label)
            elif old.sharing != new.sharing:
                yield Difference("shot_merged", new.label, new.shot_id)


def _state(source: Source, when: str, times: dict[str, int]) -> tuple[State, int]:
    """The rows of a time, and their part of the digest."""
    classes = source.connection.execute(
        f"""SELECT c.id, c.label, c.created, s.prompts, s.feature FROM class_states s
        JOIN classes c ON c.id = s.class_id WHERE {when}""",
        times,
    ).fetchall()
    shots = source.connection.execute(
        f"""SELECT p.position, s.id, p.class_id, p.slot, s.checksum, c.label, ({_SHARING})
        FROM placements p JOIN shots s ON s.position = p.position
        JOIN classes c ON c.id = p.class_id WHERE {_IN_TOUCHED}""",
        times,
    ).fetchall()
    total = sum(of_class(*row) for row in classes)
    total += sum(of_shot(row[0], row[2], row[3], row[4]) for row in shots)
    state = State(
        {row[0]: ClassState(row[1], row[3], row[4]) for row in classes},
        {row[0]: Placement(*row[1:]) for row in shots},
    )
    return state, total


def _digest(source: Source, version: int) -> bytes:
    query = f"SELECT {OF_VERSION} FROM versions WHERE version = ?"
    row = source.connection.execute(query, (version,)).fetchone()
    if row is None:
        bounds = "SELECT min(version), max(version) FROM versions"
        raise UnknownVersion(version, *source.connection.execute(bounds).fetchone())
    version_info(source, row)
    return bytes(row[7])


def version_info(source: Source, row: Any) -> VersionInfo:
    """A row of `versions`. Raises CacheDamaged."""
    check_version_row(source, row)
    version, created, action, subject, caller, classes, shots = row[:7]
    when = datetime.fromtimestamp(created, UTC)
    return VersionInfo(version, when, action, subject, caller, classes, shots)
