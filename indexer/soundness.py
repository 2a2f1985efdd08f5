"""Whether each table of a cache's file holds what was written, row by row."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from indexer.checksums import checksum, of_class, of_shot, packed
from indexer.errors import CacheDamaged, LabelError
from indexer.history import version_info
from indexer.labels import validate_label
from indexer.state import OF_REQUEST, Source, content_of, prompts_of

MOST = 100
"""Complaints of one check that are kept; the others are counted."""

NORM_TOLERANCE = 1e-3
"""What float16 views and a few hundred float32 additions leave of a unit feature's norm."""


@dataclass
class Finding:
    """What one check found.

    Attributes:
        name: of what was looked at.
        count: how many of them.
        wrong: what is wrong, a sentence each; at most `MOST` of them.
        more: how many further ones there are.
    """

    name: str
    count: int = 0
    wrong: list[str] = field(default_factory=list)
    more: int = 0

    def complain(self, message: str) -> None:
        """Note what is wrong."""
        if len(self.wrong) < MOST:
            self.wrong.append(message)
        else:
            self.more += 1


def pages(source: Source, finding: Finding) -> None:
    """Every page of the file, and every index beside its table."""
    execute = source.connection.execute
    finding.count = execute("PRAGMA page_count").fetchone()[0]
    for (line,) in execute(f"PRAGMA integrity_check({MOST})"):
        if line != "ok":
            finding.complain(f"the file is not sound: {line}")
    for table, row, other, _ in execute("PRAGMA foreign_key_check"):
        finding.complain(f"row {row} of {table} speaks of a row of {other} that is not there")


def versions(source: Source, finding: Finding) -> None:
    """Checksums of the versions, and that none is left out."""
    query = """SELECT version, created, action, subject, caller, classes, shots, digest, checksum
        FROM versions ORDER BY version"""
    expected = None
    for row in source.connection.execute(query):
        finding.count += 1
        if expected is not None and row[0] != expected:
            finding.complain(f"expected version {expected} next, got {row[0]}")
        expected = row[0] + 1
        with told(finding):
            version_info(source, row)


def classes(source: Source, finding: Finding) -> None:
    """Labels, and the features of each state that a class was in."""
    query = """SELECT c.id, c.label, s.id, s.prompts, s.feature FROM classes c
        LEFT JOIN class_states s ON s.class_id = c.id ORDER BY c.id, s.id"""
    last = None
    for number, label, state, prompts, feature in source.connection.execute(query):
        name = f"class {number} ({label!r})"
        if number != last:
            finding.count += 1
            last = number
            try:
                validate_label(label)
            except LabelError as error:
                finding.complain(f"{name}: {error}")
        if state is None:
            continue
        _check_json(finding, name, prompts)
        _check_feature(source, finding, f"state {state} of {name}", feature)
    _check_times(source, finding, "class_states", "class_id", "class")


def texts(source: Source, finding: Finding) -> None:
    """The features of captions."""
    for number, feature in source.connection.execute("SELECT id, feature FROM texts"):
        finding.count += 1
        _check_feature(source, finding, f"caption {number}", feature)


def shots(source: Source, finding: Finding) -> None:
    """Checksums and keys of all shots, also of those that are only in the history."""
    query = """SELECT s.id, s.sha256, s.created, t.text, t.feature, s.key, s.checksum
        FROM shots s LEFT JOIN texts t ON t.id = s.text_id"""
    rows = source.connection.execute(query)
    for shot_id, sha256, created, text, feature, key, expected in rows:
        finding.count += 1
        caption = None if text is None else checksum(text, feature)
        if content_of(shot_id, sha256, created, caption, key) != expected:
            finding.complain(f"shot {shot_id} is not as it was written")
        _check_feature(source, finding, f"the key of shot {shot_id}", key)


def extras(source: Source, finding: Finding) -> None:
    """Views and thumbnails of all shots."""
    query = """SELECT s.id, s.position, e.checksum, e.views, e.thumbnail FROM shots s
        LEFT JOIN extras e ON e.position = s.position"""
    for shot_id, position, expected, views, thumbnail in source.connection.execute(query):
        finding.count += 1
        if expected != checksum(position, views, thumbnail):
            finding.complain(f"views or thumbnail of shot {shot_id} are not as they were written")
        elif views is not None and len(views) % (2 * source.width):
            finding.complain(
                f"expected views of shot {shot_id} of {2 * source.width} bytes each, "
                f"got {len(views)} in all"
            )


def placements(source: Source, finding: Finding) -> None:
    """When each shot was where: one place at a time, and one class for all that share a key."""
    execute = source.connection.execute
    finding.count = execute("SELECT count(*) FROM placements").fetchone()[0]
    _check_times(source, finding, "placements", "position", "shot")
    query = """SELECT slot, count(DISTINCT class_id) FROM placements WHERE until IS NULL
        GROUP BY slot HAVING count(DISTINCT class_id) > 1"""
    for slot, count in execute(query):
        finding.complain(f"expected one class for the shots that share key {slot}, got {count}")


def fits(source: Source, finding: Finding) -> None:
    """The numbers that were fitted."""
    query = "SELECT name, json, version, checksum FROM fits"
    for name, text, version, expected in source.connection.execute(query):
        finding.count += 1
        if checksum(name, text, version) != expected:
            finding.complain(f"the numbers of the fit {name!r} are not as they were written")


def requests(source: Source, finding: Finding) -> None:
    """The answers that are kept under idempotency keys."""
    for *fields, expected in source.connection.execute(f"SELECT {OF_REQUEST} FROM requests"):
        finding.count += 1
        if checksum(*fields) != expected:
            finding.complain(f"the answer under the key {fields[0]!r} is not as it was written")


def derived_files(source: Source, finding: Finding) -> None:
    """The files beside the store that can be made again from it."""
    for name, expected in source.connection.execute("SELECT name, sha256 FROM derived_files"):
        finding.count += 1
        try:
            content = (source.path.parent / name).read_bytes()
        except OSError as error:
            finding.complain(f"{name} cannot be read, and will be made again: {error.strerror}")
            continue
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            finding.complain(
                f"expected the checksum {expected[:12]} of {name}, got {found[:12]}: it will be "
                "made again"
            )


def history(source: Source, finding: Finding) -> None:
    """Every version made again from the rows, and compared with what it was."""
    query = "SELECT version, classes, shots, digest FROM versions ORDER BY version"
    known = source.connection.execute(query).fetchall()
    changes = _changes(source, known[0][0] if known else 0)
    held = Held()
    for version, class_count, shot_count, digest in known:
        finding.count += 1
        held += changes.pop(version, Held())
        if (held.classes, held.shots) != (class_count, shot_count):
            finding.complain(
                f"expected {class_count} classes and {shot_count} shots at version {version}, got "
                f"{held.classes} and {held.shots}"
            )
        if packed(held.digest) != digest:
            finding.complain(f"what it holds of version {version} is not what that was")
    for version in sorted(changes):
        finding.complain(f"rows speak of version {version}, which there is not")


CHECKS: tuple[Callable[[Source, Finding], None], ...] = (
    pages,
    versions,
    classes,
    texts,
    shots,
    extras,
    placements,
    fits,
    requests,
    derived_files,
)
"""All but `history`, which is for those who have time."""


class Held(NamedTuple):
    """What is in force, or a change of it: how much, and the sum that makes the digest."""

    classes: int = 0
    shots: int = 0
    digest: int = 0

    def __add__(self, other: Held) -> Held:  # type: ignore[override]
        return Held(*(mine + more for mine, more in zip(self, other, strict=True)))

    def __neg__(self) -> Held:
        return Held(*(-each for each in self))


def _changes(source: Source, oldest: int) -> dict[int, Held]:
    """By version: what came and went with it; with the oldest all that was there before."""
    changes: defaultdict[int, Held] = defaultdict(Held)
    for since, until, part in itertools.chain(_class_parts(source), _shot_parts(source)):
        changes[max(since, oldest)] += part
        if until is not None:
            changes[until] += -part
    return dict(changes)


def _class_parts(source: Source) -> Iterator[tuple[int, int | None, Held]]:
    query = """SELECT s.since, s.until, c.id, c.label, c.created, s.prompts, s.feature
        FROM class_states s JOIN classes c ON c.id = s.class_id"""
    for since, until, *row in source.connection.execute(query):
        yield since, until, Held(classes=1, digest=of_class(*row))


def _shot_parts(source: Source) -> Iterator[tuple[int, int | None, Held]]:
    query = """SELECT p.since, p.until, p.position, p.class_id, p.slot, s.checksum
        FROM placements p JOIN shots s ON s.position = p.position"""
    for since, until, *row in source.connection.execute(query):
        yield since, until, Held(shots=1, digest=of_shot(*row))


def _check_feature(source: Source, finding: Finding, name: str, stored: bytes) -> None:
    """Width, finiteness and length of a unit feature."""
    if len(stored) != 4 * source.width:
        finding.complain(
            f"expected {source.width} numbers in {name}, got {len(stored)} bytes, which are "
            f"{len(stored) / 4:g}"
        )
        return
    feature = np.frombuffer(stored, np.float32)
    if not np.isfinite(feature).all():
        finding.complain(f"expected finite numbers in {name}, got NaN or infinity")
    elif abs((norm := float(np.linalg.norm(feature))) - 1) > NORM_TOLERANCE:
        finding.complain(f"expected {name} to be of length 1, got {norm:.4g}")


def _check_json(finding: Finding, name: str, prompts: str | None) -> None:
    try:
        prompts_of(prompts)
    except ValueError as error:
        finding.complain(f"the prompts of {name} cannot be read: {error}")


def _check_times(source: Source, finding: Finding, table: str, owner: str, name: str) -> None:
    """That what is in force at a time is one row for each owner."""
    query = f"SELECT {owner}, since, until FROM {table} ORDER BY {owner}, since"
    rows = source.connection.execute(query)
    for number, group in itertools.groupby(rows, key=lambda row: row[0]):
        end: int | None = -1
        for _, since, until in group:
            if end is None or since < end or (until is not None and until <= since):
                finding.complain(f"{name} {number} is in {table} twice at version {since}")
            end = until


# What damaged rows can make of the checks themselves, beside what SQLite says.
_UNREADABLE = (CacheDamaged, sqlite3.DatabaseError, TypeError, ValueError, OverflowError)


@contextlib.contextmanager
def told(finding: Finding, what: str = "") -> Iterator[None]:
    """Make a complaint of what is damaged, and go on."""
    try:
        yield
    except _UNREADABLE as error:
        finding.complain(f"{what}{error}")
