"""How much one key may ask: so many requests a second, and so many under way.

Counted for one service, all of its workers together. Several services that share a cache allow each
key as much each.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from service.errors import Problem
from service.keys import Key
from service.settings import Settings


class Bucket:
    """A token bucket: one token a request, refilled evenly.

    Args:
        rate: tokens a second.
        burst: tokens that it holds.
        at: when it was last looked at, in seconds, by any clock that only goes forward.
        tokens: that it held then; full, if not given.
    """

    def __init__(self, rate: float, burst: int, at: float, tokens: float | None = None) -> None:
        self._rate = rate
        self._burst = burst
        self.at = at
        self.tokens = float(burst if tokens is None else tokens)

    def take(self, now: float) -> float:
        """Take a token: 0 where there was one, else the seconds until there is."""
        # Clocks of two processors may be a little apart.
        passed = max(0.0, now - self.at)
        self.tokens = min(self._burst, self.tokens + passed * self._rate)
        self.at += passed
        if self.tokens < 1:
            return (1 - self.tokens) / self._rate
        self.tokens -= 1
        return 0.0


class Ledger(Protocol):
    """What each key has used."""

    def enter(self, key: str, most: int, rate: float, burst: int, now: float) -> float | None:
        """Let a request in, if it may come in.

        Args:
            key: its key's id.
            most: requests of this key that may be under way.
            rate: tokens a second.
            burst: tokens at once.
            now: seconds, by the clock of all who share the ledger.

        Returns:
            0 where it is in, the seconds until there is a token, or None where as many as may be
            are under way.
        """
        ...

    def leave(self, key: str) -> None:
        """A request that was let in has ended."""
        ...


class OwnLedger:
    """The ledger of a service of one process. For the event loop alone."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._under_way: Counter[str] = Counter()

    def enter(self, key: str, most: int, rate: float, burst: int, now: float) -> float | None:
        """See `Ledger`."""
        if self._under_way[key] >= most:
            return None
        wait = self._buckets.setdefault(key, Bucket(rate, burst, now)).take(now)
        if not wait:
            self._under_way[key] += 1
        return wait

    def leave(self, key: str) -> None:
        """See `Ledger`."""
        self._under_way[key] -= 1


class Limits:
    """Holds each key to its limits.

    Args:
        settings: what holds for a key without limits of its own.
        clock: seconds, that only go forward.
        ledger: where use is counted.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        ledger: Ledger | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._ledger = ledger or OwnLedger()

    @contextmanager
    def enter(self, key: Key) -> Iterator[None]:
        """One request of a key, while the block runs.

        Raises:
            Problem: rate-limited; says which limit, and when to come back.
        """
        most = key.concurrency or self._settings.key_concurrency
        rate, burst = key.rate or self._settings.key_rate, key.burst or self._settings.key_burst
        wait = self._ledger.enter(key.id, most, rate, burst, self._clock())
        if wait is None:
            raise _limited(f"at most {most} of its requests may be under way at once", 1)
        if wait:
            raise _limited(f"it may send {rate:g} requests a second, and {burst} at once", wait)
        try:
            yield
        finally:
            self._ledger.leave(key.id)


def _limited(what: str, wait: float) -> Problem:
    seconds = math.ceil(wait)
    detail = f"this key is over its limit: {what}; come back after {seconds} s"
    return Problem("rate-limited", detail, headers={"Retry-After": str(seconds)})
