"""Documents that tell when they were changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from indexer.sealed import MAX_BYTES, SealBroken, Sealed, read_sealed, unseal

FACTS = {"number": 12, "shares": {"a": 0.1, "b": None}, "names": ["ä", ""], "good": True}
CONTENT = Sealed(FACTS).content()


@dataclass(frozen=True)
class Point:
    x: int
    y: float


POINTS = TypeAdapter(Point)


def test_what_is_sealed_is_read_back() -> None:
    assert unseal(CONTENT) == Sealed(FACTS)
    assert list(unseal(CONTENT).facts) == list(FACTS)


def test_the_checksum_is_of_the_facts_and_not_of_their_order() -> None:
    other = Sealed(dict(reversed(FACTS.items())))
    assert other.checksum == Sealed(FACTS).checksum
    assert other.checksum != Sealed({**FACTS, "number": 13}).checksum


@settings(deadline=None, max_examples=300)
@given(at=st.integers(0, len(CONTENT) - 1), mask=st.integers(1, 255))
def test_every_changed_byte_is_told(at: int, mask: int) -> None:
    changed = bytearray(CONTENT)
    changed[at] ^= mask
    with pytest.raises(SealBroken):
        unseal(bytes(changed))


def test_every_missing_end_is_told() -> None:
    for size in range(len(CONTENT)):
        with pytest.raises(SealBroken):
            unseal(CONTENT[:size])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"3\n", "expected JSON with a checksum, got none"),
        (b'{"number": 3}', "expected JSON with a checksum, got none"),
        (b"\xff", "expected JSON with a checksum"),
        (b'{"checksum": "0", "a": NaN}', "expected JSON with a checksum"),
        (b'{"checksum": "0", "a": ' + b"9" * 5000 + b"}", "expected JSON with a checksum"),
        (b"[" * 100_000, "expected flat JSON"),
        (b" " * (MAX_BYTES + 1), "expected at most 1,048,576 bytes"),
        (CONTENT + b" ", "its content is not what"),
    ],
)
def test_something_else_is_told(content: bytes, said: str) -> None:
    with pytest.raises(SealBroken, match=said):
        unseal(content)


def test_a_file_is_of_a_kind(tmp_path: Path) -> None:
    path = tmp_path / "point"
    path.write_bytes(Sealed({"x": 1, "y": 0.5}).content())
    found, checksum = read_sealed(path, POINTS)
    assert (found, checksum) == (Point(1, 0.5), Sealed({"y": 0.5, "x": 1}).checksum)
    path.write_bytes(Sealed({"x": 1, "y": "high"}).content())
    with pytest.raises(SealBroken, match="y: Input should be a valid number"):
        read_sealed(path, POINTS)
    with pytest.raises(FileNotFoundError):
        read_sealed(tmp_path / "other", POINTS)
