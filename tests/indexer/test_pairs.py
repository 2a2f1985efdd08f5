from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.pairs import PairCounts

CPU = torch.device("cpu")


def counted(pairs: PairCounts) -> Counter[tuple[int, int]]:
    """(class, text) -> shots, each pair once."""
    found = pairs.pairs(9)
    each = list(zip(found.classes.tolist(), found.texts.tolist(), strict=True))
    assert len(each) == len(set(each))
    assert found.texts_in_use == 9
    return Counter(dict(zip(each, map(int, found.counts.tolist()), strict=True)))


def test_shots_at_hand_are_counted_at_once() -> None:
    pairs = PairCounts(CPU)
    pairs.add(5, 5)
    pairs.load(np.array([1, 0, 1, 1]), np.array([3, 0, 3, 2]))
    assert counted(pairs) == {(1, 3): 2, (0, 0): 1, (1, 2): 1}
    pairs.add(1, 3)
    pairs.add(2, 3)
    assert counted(pairs) == {(1, 3): 3, (0, 0): 1, (1, 2): 1, (2, 3): 1}


def test_a_text_that_takes_the_place_of_another_keeps_its_shots() -> None:
    pairs = PairCounts(CPU)
    pairs.load(np.array([0, 1, 0, 2]), np.array([4, 4, 1, 0]))
    pairs.remove(2, 0)
    pairs.renumber(4, 0)
    assert counted(pairs) == {(0, 0): 1, (1, 0): 1, (0, 1): 1}
    pairs.remove(1, 0)
    pairs.add(0, 0)
    assert counted(pairs) == {(0, 0): 2, (0, 1): 1}


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 3)), max_size=60))
def test_shots_that_come_and_go_leave_their_counts(steps: list[tuple[bool, int, int]]) -> None:
    pairs, expected = PairCounts(CPU), Counter[tuple[int, int]]()
    for comes, target, text in steps:
        if comes:
            pairs.add(target, text)
            expected[target, text] += 1
        elif expected[target, text]:
            pairs.remove(target, text)
            expected[target, text] -= 1
    assert counted(pairs) == +expected
