"""What tells a row, or a whole state of a cache, from a damaged one.

A row's checksum is a hash of its content. A state's digest is the sum of a hash for each shot and
class in force, modulo 2^128, so that a change costs as much as it changes, and so that a row that
a damaged tree of pages leaves out is missed. They find accidents; they keep no forger out.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from hashlib import blake2b

SIZE = 16
MODULUS = 1 << 8 * SIZE

Field = str | bytes | float | int | None


def checksum(*fields: Field) -> bytes:
    """(16 bytes) of fields in their order: no two lists are alike, nor bytes and a text of them."""
    found = blake2b(digest_size=SIZE)
    for field in fields:
        kind, data = _kind_and_bytes(field)
        found.update(b"%b%d:" % (kind, len(data)))
        found.update(data)
    return found.digest()


def meta_checksum(meta: Mapping[str, str]) -> str:
    """The checksum of a cache's facts about itself."""
    # In a damaged file a key may be something else than text, which no text can be compared with.
    ordered = sorted(meta.items(), key=lambda pair: str(pair[0]))
    return checksum(*(part for pair in ordered for part in pair)).hex()


def of_shot(position: int, class_id: int, slot: int, content: bytes) -> int:
    """A shot's part of the digest; `content` is the checksum of what it is."""
    packed = struct.pack("<4sqqq", b"shot", position, class_id, slot)
    return int.from_bytes(blake2b(packed + content, digest_size=SIZE).digest())


def of_class(class_id: int, label: str, created: float, prompts: str | None, feature: bytes) -> int:
    """A class's part of the digest."""
    return int.from_bytes(checksum("class", class_id, label, created, prompts, feature))


def packed(digest: int) -> bytes:
    """A digest as it is stored."""
    return (digest % MODULUS).to_bytes(SIZE)


def _kind_and_bytes(field: Field) -> tuple[bytes, bytes]:
    if isinstance(field, bytes):
        return b"b", field
    if isinstance(field, str):
        return b"s", field.encode()
    if isinstance(field, float):
        return b"f", struct.pack("<d", field)
    return (b"-", b"") if field is None else (b"i", str(field).encode())
