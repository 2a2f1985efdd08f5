"""Giving memory back to the system that the allocator keeps for later."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


def trim() -> None:
    """Give back what is free within the heap, where the C library can.

    glibc gives back large blocks at once and small ones only from the heap's end: reading 100,000
    shots leaves 100 MB of holes. From any thread; it takes some milliseconds.
    """
    release = _release()
    if release is not None:
        release(0)


@cache
def _release() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        # Not glibc.
        return None
    return found
