"""How much one key may ask: so many requests a second, and so many under way.

Counted in this process: several processes that share a cache allow each key as much each.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.errors import Problem
from service.keys import Key
from service.settings import Settings


class Bucket:
    """A token bucket: full at first, one token a request, refilled evenly.

    Args:
        rate: tokens a second.
        burst: tokens that it holds.
        now: seconds, by any clock that only goes forward.
    """

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> float:
        """Take a token: 0 where there was one, else the seconds until there is."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0


class Limits:
    """What each key has used. Not for several threads: the event loop's alone.

    Args:
        settings: what holds for a key without limits of its own.
        clock: seconds, that only go forward.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def enter(self, key: Key) -> Iterator[None]:
        """One request of a key, while the block runs.

        Raises:
            Problem: rate-limited; says which limit, and when to come back.
        """
        most = key.concurrency or self._settings.key_concurrency
        if self._under_way[key.id] >= most:
            raise _limited(f"at most {most} of its requests may be under way at once", 1)
        rate, burst = key.rate or self._settings.key_rate, key.burst or self._settings.key_burst
        now = self._clock()
        bucket = self._buckets.setdefault(key.id, Bucket(rate, burst, now))
        wait = bucket.take(now)
        if wait:
            raise _limited(f"it may send {rate:g} requests a second, and {burst} at once", wait)
        self._under_way[key.id] += 1
        try:
            yield
        finally:
            self._under_way[key.id] -= 1


def _limited(what: str, wait: float) -> Problem:
    seconds = math.ceil(wait)
    detail = f"this key is over its limit: {what}; come back after {seconds} s"
    return Problem("rate-limited", detail, headers={"Retry-After": str(seconds)})
