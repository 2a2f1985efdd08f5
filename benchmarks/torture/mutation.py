"""Damage to JPEG, PNG and WebP files: of their bytes, of their parts, and of what they claim.

Everything follows from the number of a mutation, so that a file which brought something down can
be made again.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

PNG_START = b"\x89PNG\r\n\x1a\n"
EDGES = (0, 1, 2, 7, 255, 256, 4_000, 7_071, 16_383, 32_768, 65_535, 2**24 - 1, 2**31, 2**32 - 1)
LENGTHS = (0, 1, 2, 3, 4, 8, 255, 65_535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
HEADER = 512
"""Most of what can go wrong is said in the first bytes."""

REPAIRED = 0.7
"""Share of mutations whose checksums and sizes are made right again: others end at them."""


class Part(NamedTuple):
    """A segment or chunk: where it starts, its length field, that one's width, and its end."""

    start: int
    length_at: int
    length_bytes: int
    end: int


def mutated(seeds: Sequence[bytes], number: int) -> bytes:
    """The mutation of this number."""
    draw = random.Random(number)
    data = bytearray(draw.choice(seeds))
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        draw.choice(_MUTATIONS)(data, draw, seeds)
    if draw.random() < REPAIRED:
        _repair(data)
    return bytes(data)


def parts(data: bytes | bytearray) -> list[Part]:
    """The segments of a JPEG before its picture, or the chunks of a PNG or WebP."""
    if data[:2] == b"\xff\xd8":
        return _segments(data)
    if data[:8] == PNG_START:
        return _chunks(data, 8, "big")
    return _chunks(data, 12, "little")


def _segments(data: bytes | bytearray) -> list[Part]:
    found, position = [], 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        found.append(Part(position, position + 2, 2, min(end, len(data))))
        if data[position + 1] == 0xDA:
            break
        position = end
    return found


def _chunks(data: bytes | bytearray, position: int, order: str) -> list[Part]:
    found = []
    while position + 8 <= len(data):
        at = position if order == "big" else position + 4
        length = int.from_bytes(data[at : at + 4], "big" if order == "big" else "little")
        end = position + 8 + (length + 4 if order == "big" else length + length % 2)
        found.append(Part(position, at, 4, min(end, len(data))))
        position = end
    return found


def _flip(data: bytearray, draw: random.Random, _: Sequence[bytes]) -> None:
    reach = min(len(data), HEADER) if draw.random() < 0.5 else len(data)
    for _each in range(draw.choice((1, 1, 2, 4, 16))):
        if reach:
            data[draw.randrange(reach)] ^= 1 << draw.randrange(8)


def _overwrite(data: bytearray, draw: random.Random, _: Sequence[bytes]) -> None:
    if data:
        at = draw.randrange(len(data))
        run = min(draw.choice((1, 2, 4, 64)), len(data) - at)
        data[at : at + run] = draw.choice((bytes(run), b"\xff" * run, draw.randbytes(run)))


def _truncate(data: bytearray, draw: random.Random, _: Sequence[bytes]) -> None:
    del data[draw.randrange(len(data) + 1) :]


def _splice(data: bytearray, draw: random.Random, seeds: Sequence[bytes]) -> None:
    other = draw.choice(seeds)
    at, start = draw.randrange(len(data) + 1), draw.randrange(len(other))
    piece = other[start : start + draw.choice((4, 64, 1024, len(other)))]
    data[at : at + draw.choice((0, len(piece)))] = piece


def _claim(data: bytearray, draw: random.Random, _: Sequence[bytes]) -> None:
    """Let a segment or chunk claim another length."""
    found = parts(data)
    if found:
        part = draw.choice(found)
        length = draw.choice((*LENGTHS, draw.randrange(2**16)))
        order = "big" if data[:1] != b"R" else "little"
        size = part.length_bytes
        field = (length % 256**size).to_bytes(size, "big" if order == "big" else "little")
        data[part.length_at : part.length_at + size] = field


def _repeat(data: bytearray, draw: random.Random, _: Sequence[bytes]) -> None:
    """Repeat a segment or chunk, there or elsewhere, or take it away."""
    found = parts(data)
    if found:
        part, there = draw.choice(found), draw.choice(found)
        piece = data[part.start : part.end]
        if draw.random() < 0.3:
            del data[part.start : part.end]
        else:
            data[there.start : there.start] = piece * draw.choice((1, 1, 2, 150))


def _resize(data: bytearray, draw: random.Random, _: Sequence[bytes]) -> None:
    """Let the header claim other edges."""
    for edge in range(2):
        if draw.random() < 0.7:
            value = draw.choice((*EDGES, draw.randrange(1, 9_000)))
            _write_edge(data, edge, value)


def _write_edge(data: bytearray, edge: int, value: int) -> None:
    if data[:8] == PNG_START:
        data[16 + 4 * edge : 20 + 4 * edge] = (value % 2**32).to_bytes(4, "big")
    elif data[:2] == b"\xff\xd8":
        for part in _segments(data):
            if data[part.start + 1] in (0xC0, 0xC1, 0xC2):
                at = part.start + 5 + 2 * edge
                data[at : at + 2] = (value % 2**16).to_bytes(2, "big")
    elif data[12:16] == b"VP8X":
        data[24 + 3 * edge : 27 + 3 * edge] = (value % 2**24).to_bytes(3, "little")
    elif data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        bits = bits & ~(0x3FFF << 14 * edge) | (value & 0x3FFF) << 14 * edge
        data[21:25] = bits.to_bytes(4, "little")
    elif data[12:16] == b"VP8 ":
        data[26 + 2 * edge : 28 + 2 * edge] = (value % 2**16).to_bytes(2, "little")


_MUTATIONS: Sequence[Callable[[bytearray, random.Random, Sequence[bytes]], None]] = (
    _flip,
    _overwrite,
    _truncate,
    _splice,
    _claim,
    _repeat,
    _resize,
)


def _repair(data: bytearray) -> None:
    """Make the checksums of a PNG's chunks right, and the size that a WebP says it has."""
    if data[:8] == PNG_START:
        for part in _chunks(data, 8, "big"):
            checksum = zlib.crc32(data[part.start + 4 : part.end - 4])
            if part.end - part.start >= 12:
                data[part.end - 4 : part.end] = checksum.to_bytes(4, "big")
    elif data[:4] == b"RIFF" and len(data) >= 8:
        data[4:8] = (len(data) - 8).to_bytes(4, "little")
