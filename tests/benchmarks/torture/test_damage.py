"""Changed bytes and missing ends."""

from __future__ import annotations

from random import Random

import pytest

from benchmarks.torture.damage import flip, flips, truncations


def test_a_flip_changes_one_byte() -> None:
    data = bytes(range(50))
    random = Random(1)
    places = set()
    for changed in flips(data, 2000, random):
        different = [at for at in range(50) if changed[at] != data[at]]
        assert len(changed) == 50
        assert len(different) == 1
        places.add(different[0])
    assert places == set(range(50))


def test_flips_are_those_of_the_seed() -> None:
    assert flip(b"abc", Random(2)) == flip(b"abc", Random(2))
    assert len(set(flips(b"abc", 50, Random(2)))) > 40


def test_of_nothing_no_byte_can_be_changed() -> None:
    with pytest.raises(ValueError, match="got none"):
        flip(b"", Random(1))


def test_truncations_are_all_that_are_shorter() -> None:
    assert list(truncations(b"abc")) == [b"", b"a", b"ab"]
