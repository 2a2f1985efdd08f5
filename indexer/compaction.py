"""Erasing a cache's history for good: what that would take away, and doing it."""

from __future__ import annotations

from dataclasses import dataclass

from indexer.store import Store


@dataclass(frozen=True)
class Compaction:
    """What is to be erased.

    Attributes:
        oldest: the version that is the oldest afterwards.
        versions: how many there are before it.
        shots: how many are in no version from `oldest` on.
    """

    oldest: int
    versions: int
    shots: int


def planned(store: Store, keep: int) -> Compaction:
    """What goes where so many versions before the last stay."""
    with store.snapshot(), store.source() as source:
        execute = source.connection.execute
        first, last = execute("SELECT min(version), max(version) FROM versions").fetchone()
        oldest = max(last - keep, first)
        query = """SELECT count(*) FROM shots WHERE position NOT IN
            (SELECT position FROM placements WHERE until IS NULL OR until > ?)"""
        shots = execute(query, (oldest,)).fetchone()[0]
    return Compaction(oldest, oldest - first, shots)


def compact(store: Store, plan: Compaction) -> None:
    """Erase what was planned, whatever has been added since.

    Raises:
        CacheBusy, CacheUnwritable: nothing was erased, or its room not given back yet.
    """
    store.compact(keep=store.version - plan.oldest)
