from __future__ import annotations

from itertools import combinations
from typing import cast

from indexer.checksums import checksum, meta_checksum, of_class, of_shot, packed


def test_lists_that_look_alike_have_other_checksums() -> None:
    alike: list[tuple[str | bytes | float | int | None, ...]] = [
        ("ab", "c"),
        ("a", "bc"),
        ("abc",),
        (b"abc",),
        ("abc", None),
        ("abc", ""),
        (1,),
        (1.0,),
        ("1",),
        (b"1",),
        (),
    ]
    for one, other in combinations(alike, 2):
        assert checksum(*one) != checksum(*other), (one, other)
    assert checksum("ab", None, 1.5) == checksum("ab", None, 1.5)


def test_facts_have_a_checksum_whatever_their_order_and_their_kind() -> None:
    facts = {"width": "8", "model": "pixel"}
    assert meta_checksum(facts) == meta_checksum(dict(reversed(facts.items())))
    damaged = cast("dict[str, str]", {**facts, None: None})
    assert meta_checksum(damaged) != meta_checksum(facts)


def test_a_digest_forgets_what_was_taken_away() -> None:
    shot, other = of_shot(1, 2, 3, b"x" * 16), of_class(2, "cat", 1.0, None, b"y")
    assert packed(shot + other - shot) == packed(other)
    assert packed(-1) == b"\xff" * 16
    assert len({of_shot(*place, b"x" * 16) for place in [(1, 2, 3), (2, 1, 3), (1, 3, 2)]}) == 3
