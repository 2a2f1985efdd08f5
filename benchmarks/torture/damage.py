"""What happens to bytes on a disk: some change, or the end of a file is missing."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random


def flip(data: bytes, random: Random) -> bytes:
    """`data` with one byte changed, which one and how at random. Raises ValueError if empty."""
    if not data:
        raise ValueError("expected bytes of which to change one, got none")
    changed = bytearray(data)
    changed[random.randrange(len(data))] ^= random.randrange(1, 256)
    return bytes(changed)


def flips(data: bytes, count: int, random: Random) -> Iterator[bytes]:
    """`data` with one byte changed, so many times, each time from the start."""
    for _ in range(count):
        yield flip(data, random)


def truncations(data: bytes) -> Iterator[bytes]:
    """`data` without its end, at every length from 0 on."""
    for size in range(len(data)):
        yield data[:size]
