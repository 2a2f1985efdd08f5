"""One version in the making: what a change does to what is in force, and to its digest."""

from __future__ import annotations

import sqlite3
import time

from indexer.checksums import checksum, of_class, of_shot, packed

SLOT_BITS = 32


class Change:
    """Within a transaction. `finish` makes it a version, if it changed anything.

    Attributes:
        version: that it makes.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Begin after the last version."""
        query = "SELECT version, classes, shots, digest FROM versions ORDER BY version DESC LIMIT 1"
        version, self._classes, self._shots, digest = connection.execute(query).fetchone()
        self.version = int(version) + 1
        self._connection = connection
        self._digest = int.from_bytes(digest)
        self._changed = False

    @property
    def current(self) -> int:
        """The cache's version once this is finished."""
        return self.version if self._changed else self.version - 1

    def place(self, position: int, class_id: int, content: bytes, slot: int | None = None) -> None:
        """Put a shot that is nowhere into a class.

        Args:
            position: of the shot.
            class_id: of a class in force.
            content: the shot's checksum.
            slot: of the key that it shares; None for one of its own.
        """
        if slot is None:
            slot = self.version << SLOT_BITS | position
        self._connection.execute(
            "INSERT INTO placements (position, since, class_id, slot) VALUES (?, ?, ?, ?)",
            (position, self.version, class_id, slot),
        )
        self._count(1, of_shot(position, class_id, slot, content))

    def displace(self, position: int) -> None:
        """Take a shot out of its class."""
        query = """SELECT p.id, p.since, p.class_id, p.slot, s.checksum FROM placements p
            JOIN shots s ON s.position = p.position WHERE p.position = ? AND p.until IS NULL"""
        row = self._connection.execute(query, (position,)).fetchone()
        number, since, class_id, slot, content = row
        self._end("placements", number, since)
        self._count(-1, -of_shot(position, class_id, slot, content))

    def describe(self, class_id: int, prompts: str | None, feature: bytes) -> None:
        """Have a class, in force or not, be in force with these prompts and text feature.

        Args:
            class_id: of the class.
            prompts: its own, as JSON.
            feature: (D,), as it is stored.
        """
        self.retire(class_id)
        self._connection.execute(
            "INSERT INTO class_states (class_id, since, prompts, feature) VALUES (?, ?, ?, ?)",
            (class_id, self.version, prompts, feature),
        )
        self._classes += 1
        self._turn(of_class(class_id, *self._name(class_id), prompts, feature))

    def retire(self, class_id: int) -> None:
        """Have a class be in force no more; its shots are to be displaced before."""
        query = """SELECT id, since, prompts, feature FROM class_states
            WHERE class_id = ? AND until IS NULL"""
        row = self._connection.execute(query, (class_id,)).fetchone()
        if row is None:
            return
        number, since, prompts, feature = row
        self._end("class_states", number, since)
        self._classes -= 1
        self._turn(-of_class(class_id, *self._name(class_id), prompts, feature))

    def finish(self, action: str, subject: str | None, caller: str | None) -> int:
        """Write the version down, if anything changed; the version now.

        Args:
            action: see `VersionInfo`; so are the others.
            subject: what it was about.
            caller: who asked for it.
        """
        if not self._changed:
            return self.version - 1
        insert_version(
            self._connection,
            self.version,
            action,
            subject,
            caller,
            self._classes,
            self._shots,
            packed(self._digest),
        )
        return self.version

    def _end(self, table: str, number: int, since: int) -> None:
        # What this same change began was never in force.
        if since == self.version:
            self._connection.execute(f"DELETE FROM {table} WHERE id = ?", (number,))
        else:
            self._connection.execute(
                f"UPDATE {table} SET until = ? WHERE id = ?", (self.version, number)
            )

    def _name(self, class_id: int) -> tuple[str, float]:
        query = "SELECT label, created FROM classes WHERE id = ?"
        label, created = self._connection.execute(query, (class_id,)).fetchone()
        return label, created

    def _count(self, shots: int, part: int) -> None:
        self._shots += shots
        self._turn(part)

    def _turn(self, part: int) -> None:
        self._digest += part
        self._changed = True


def insert_version(
    connection: sqlite3.Connection,
    version: int,
    action: str,
    subject: str | None,
    caller: str | None,
    classes: int,
    shots: int,
    digest: bytes,
) -> None:
    """Write one row of `versions`, with its checksum."""
    fields = (version, time.time(), action, subject, caller, classes, shots, digest)
    connection.execute(
        "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*fields, checksum(*fields))
    )
