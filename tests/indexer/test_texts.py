from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.records import Floats
from indexer.texts import Texts
from tests.indexer.helpers import directions

WIDTH = 8
CPU = torch.device("cpu")


def feature(reference: int, version: int = 0) -> Floats:
    array: Floats = directions(1, 1000 * version + abs(reference), WIDTH)[0].numpy()
    return array


def test_shots_with_one_text_share_one_row() -> None:
    texts = Texts(WIDTH, CPU)
    texts.load(np.array([5, -1, 5, 5]), {5: feature(5), -1: feature(-1)})
    assert len(texts) == 2
    assert texts.of_shots.view.tolist() == [1, 0, 1, 1]
    np.testing.assert_array_equal(texts.features, [feature(-1), feature(5)])


def test_a_text_goes_with_its_last_shot() -> None:
    texts = Texts(WIDTH, CPU)
    texts.load(np.array([5, -1, 5]), {5: feature(5), -1: feature(-1)})
    assert texts.remove(0) is None
    assert len(texts) == 2
    assert texts.remove(0) == 1
    assert texts.of_shots.view.tolist() == [0]
    np.testing.assert_array_equal(texts.features, [feature(-1)])


def test_a_text_that_no_shot_has_needs_a_feature() -> None:
    texts = Texts(WIDTH, CPU)
    with pytest.raises(KeyError, match="unused text 7"):
        texts.add(7, None)
    texts.add(7, feature(7))
    assert texts.add(7, None) is False
    assert texts.of_shots.view.tolist() == [0, 0]


Step = tuple[str, int, int]
STEPS = st.tuples(
    st.sampled_from(["add", "remove", "replace"]), st.integers(0, 5), st.integers(0, 9)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_whoever_follows_what_is_told_has_every_feature(steps: list[Step]) -> None:
    """A copy of the features, kept as an index is: appended to, and rows removed by number."""
    texts = Texts(WIDTH, CPU)
    shots: list[int] = []
    version = dict.fromkeys(range(6), 0)
    copy: list[Floats] = []

    def drop(row: int | None) -> None:
        if row is not None:
            copy[row] = copy[-1]
            copy.pop()

    for at, (step, number, place) in enumerate(steps):
        own = feature(number, version[number])
        if step == "add":
            if texts.add(number, own):
                copy.append(own)
            shots.append(number)
        elif step == "replace":
            version[number] = at + 1
            row = texts.replace(number, feature(number, at + 1))
            assert (row is None) == (number not in shots)
            if row is not None:
                copy[row] = feature(number, at + 1)
        elif shots:
            shot = place % len(shots)
            drop(texts.remove(shot))
            shots[shot] = shots[-1]
            shots.pop()
    assert len(texts) == len(set(shots)) == len(copy)
    np.testing.assert_array_equal(texts.features, np.reshape(copy, (-1, WIDTH)))
    for number, row in zip(shots, texts.of_shots.view, strict=True):
        np.testing.assert_array_equal(texts.features[row], feature(number, version[number]))
