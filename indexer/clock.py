"""Time that does not jump: what the age of a stored answer is told by."""

from __future__ import annotations

import time

_BEGINNING = time.time() - time.monotonic()


def now() -> float:
    """Seconds since 1970, as the clock was when the program started, and evenly since.

    The clock on the wall may be set meanwhile, by days: an answer that is to be kept for a day
    must not be forgotten for that.
    """
    return _BEGINNING + time.monotonic()
