"""One process at a time fits the numbers of a cache: the others then find them in the store.

A turn saves work, and no more than that: who cannot have it within `PATIENCE` seconds, or cannot
write the folder, goes on without.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE = "fit.lock"
PATIENCE = 30.0
LOOK_SECONDS = 0.01


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Fit within the block. The system ends the turn of a process that ends.

    Args:
        folder: of the cache.
    """
    try:
        descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        yield
        return
    try:
        deadline = time.monotonic() + PATIENCE
        while not _taken(descriptor) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks.
        return True
    return True
