"""What API keys have used of their limits, counted by all workers of one service together.

A table in memory that the workers share. Concurrency is counted for each worker apart, so that
what a killed one held can be taken back.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.limits import Bucket
from service.mapped import mapped

KEYS = 8192
# Places that a key may have; where others have all of them, the one longest not seen makes room.
PROBED = 32


class SharedLedger:
    """One worker's hand in the table; see `service.limits.Ledger`.

    Args:
        path: of the table; made where there is none.
        workers: that share it.
        worker: whose hand it is, from 0. What one before it held is taken back.
    """

    def __init__(self, path: Path, workers: int, worker: int) -> None:
        table = mapped(path, (3 + workers) * KEYS)
        counts, numbers = table.cast("Q"), table.cast("d")
        self._ids = counts[:KEYS]
        self._tokens = numbers[KEYS : 2 * KEYS]
        self._seen = numbers[2 * KEYS : 3 * KEYS]
        self._under_way = [counts[at * KEYS : (at + 1) * KEYS] for at in range(3, 3 + workers)]
        self._own = self._under_way[worker]
        # The system drops the lock on it with the process.
        self._lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        for place, held in enumerate(self._own):
            if held:
                self._own[place] = 0

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._lock)

    def enter(self, key: str, most: int, rate: float, burst: int, now: float) -> float | None:
        """See `service.limits.Ledger`."""
        with self._locked():
            place = self._place(_number(key), burst, now)
            if sum(counts[place] for counts in self._under_way) >= most:
                return None
            bucket = Bucket(rate, burst, self._seen[place], self._tokens[place])
            wait = bucket.take(now)
            self._tokens[place], self._seen[place] = bucket.tokens, bucket.at
            if not wait:
                self._own[place] += 1
            return wait

    def leave(self, key: str) -> None:
        """See `service.limits.Ledger`."""
        with self._locked():
            place = self._found(_number(key))
            if place is not None and self._own[place]:
                self._own[place] -= 1

    def _place(self, number: int, burst: int, now: float) -> int:
        """Where a key is; a place for it, with a full bucket, where it is nowhere."""
        found = self._found(number)
        if found is not None:
            return found
        place = min(_places(number), key=lambda place: (self._busy(place), self._seen[place]))
        for counts in self._under_way:
            counts[place] = 0
        self._ids[place], self._tokens[place], self._seen[place] = number, burst, now
        return place

    def _found(self, number: int) -> int | None:
        return next((place for place in _places(number) if self._ids[place] == number), None)

    def _busy(self, place: int) -> bool:
        return any(counts[place] for counts in self._under_way)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)


def _number(key: str) -> int:
    # 0 is an empty place.
    return int(key, 16) + 1


def _places(number: int) -> list[int]:
    return [(number + step) % KEYS for step in range(PROBED)]
