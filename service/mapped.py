"""Files that the workers of one service map: numbers that all of them see at once."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

WORD = 8


def mapped(path: Path, words: int) -> memoryview:
    """A file as memory, of so many words of 8 bytes; made where there is none, with zeros.

    Cast to "Q" or "d": a word is then written and read as a whole. What is written is seen by
    all who map the file, and stays if its writer is killed.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, WORD * words)
        # It holds the file by a descriptor of its own.
        return memoryview(mmap.mmap(descriptor, WORD * words))
    finally:
        os.close(descriptor)
