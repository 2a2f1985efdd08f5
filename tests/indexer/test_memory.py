from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from torch import Tensor
from torch.nn.functional import normalize

from adapter.gaussian import Distances
from adapter.learned import Learned
from adapter.networks import Networks
from adapter.support import SupportSet
from adapter.text_pairs import TextPairs
from indexer.index import NumpyIndex
from indexer.keys import make_text_keys
from indexer.memory import Memory
from indexer.records import ClassRow, Floats, ShotRows
from tests.indexer.helpers import directions

WIDTH = 8
CPU = torch.device("cpu")
NETWORKS = Networks.initial(WIDTH, 4)
PRECISION = torch.diag(torch.arange(1.0, WIDTH + 1))


def vector(seed: int) -> Floats:
    array: Floats = directions(1, seed, WIDTH)[0].numpy()
    return array


def row(seed: int) -> Tensor:
    return directions(1, seed, WIDTH)[0]


LEARNED = {
    "nothing": Learned(),
    "class residuals": Learned(class_residuals={"class 1": row(901), "class 3": row(902)}),
    "shot residuals": Learned(shot_residuals={"shot 2": row(903), "shot 5": row(904)}),
    "low rank": Learned(low_rank=(directions(WIDTH, 905, 2), directions(2, 906, WIDTH))),
    "texts of classes": Learned(text_key="class", class_features={"class 1": row(907)}),
    "conditioned texts": Learned(text_key="conditioned", class_features={"class 3": row(908)}),
    "all at once": Learned(
        class_residuals={"class 1": row(901)},
        shot_residuals={"shot 2": row(903)},
        low_rank=(directions(WIDTH, 905, 2), directions(2, 906, WIDTH)),
        text_key="conditioned",
    ),
}


def nothing() -> ShotRows:
    raise AssertionError("the keys are in the index")


def make(learned: Learned = LEARNED["nothing"], stored: Callable[[], ShotRows] = nothing) -> Memory:
    networks = replace(NETWORKS, learned=learned)
    texts = make_text_keys(NumpyIndex(4), networks, CPU)
    return Memory(WIDTH, NumpyIndex(WIDTH), texts, learned, CPU, stored)


@dataclass(frozen=True)
class Told:
    """Everything that a memory says of a shot, but its rows."""

    label: str
    key: Tensor
    text: Tensor
    image_key: Tensor
    text_key: Tensor


def by_shot(memory: Memory) -> dict[str, Told]:
    support = memory.support(1.0)()
    text_keys = memory.texts.index.keys()
    return {
        shot_id: Told(
            support.labels[int(support.targets[at])],
            support.keys[at],
            support.texts[support.text_rows[at]],
            memory.image.key(at),
            text_keys[support.text_rows[at]],
        )
        for at, shot_id in enumerate(memory.shot_ids(range(len(memory))))
    }


def assert_told(found: dict[str, Told], expected: dict[str, Told]) -> None:
    assert found.keys() == expected.keys()
    for shot_id, told in expected.items():
        assert found[shot_id].label == told.label
        assert torch.equal(found[shot_id].key, told.key)
        for name in ("text", "image_key", "text_key"):
            torch.testing.assert_close(getattr(found[shot_id], name), getattr(told, name))


def assert_consistent(memory: Memory) -> SupportSet:
    support = memory.support(1.0)()
    state = memory.state(PRECISION)
    assert len(memory.image) == len(memory) == len(support.targets)
    assert len(memory.texts.index) == len(support.texts)
    # No text without a shot, and sums that are those of the keys, after any number of changes.
    assert set(support.text_rows.tolist()) == set(range(len(support.texts)))
    torch.testing.assert_close(state.counts, support.counts)
    torch.testing.assert_close(state.targets, support.targets)
    torch.testing.assert_close(state.classifier, support.classifier)
    expected = Distances.to(support.means, PRECISION)
    assert state.distances is not None
    torch.testing.assert_close(state.distances.weights, expected.weights, atol=1e-5, rtol=0)
    torch.testing.assert_close(state.distances.bias, expected.bias, atol=1e-5, rtol=0)
    assert counted(state.text_pairs) == counted(TextPairs.of(state.targets, state.text_rows))
    return support


def counted(pairs: TextPairs) -> dict[tuple[int, int], float]:
    """(class, text) -> shots."""
    found = zip(pairs.classes.tolist(), pairs.texts.tolist(), strict=True)
    return dict(zip(found, pairs.counts.tolist(), strict=True))


def test_an_empty_memory_has_the_shapes_of_nothing() -> None:
    memory = make()
    support = assert_consistent(memory)
    assert support.classifier.shape == (0, WIDTH)
    assert support.keys.shape == (0, WIDTH)
    assert support.texts.shape == (0, WIDTH)


def test_shots_without_caption_follow_their_class() -> None:
    memory = make()
    memory.put_class(ClassRow(1, "cat", None, vector(1)))
    memory.add("plain", "cat", vector(2))
    memory.add("captioned", "cat", vector(3), 7, vector(4))
    memory.put_class(ClassRow(1, "cat", ("a cat",), vector(5)))
    support = assert_consistent(memory)
    texts = support.texts[support.text_rows]
    np.testing.assert_array_equal(texts[0], vector(5))
    np.testing.assert_array_equal(texts[1], vector(4))
    np.testing.assert_array_equal(support.classifier[0], vector(5))


class Changes(RuleBasedStateMachine):
    """Any changes in any order; a plain model knows what must be there."""

    learned = LEARNED["nothing"]

    def __init__(self) -> None:
        super().__init__()
        self.memory = make(self.learned, self.rows)
        self.classes: dict[str, ClassRow] = {}
        self.shots: dict[str, tuple[str, Floats, int]] = {}
        self.made = 0

    def rows(self) -> ShotRows:
        """What the store has."""
        shots = self.shots.values()
        return ShotRows(
            ids=list(self.shots),
            class_ids=np.array([self.classes[shot[0]].id for shot in shots], dtype=np.int64),
            text_ids=np.array([shot[2] for shot in shots], dtype=np.int64),
            keys=np.array([shot[1] for shot in shots], np.float32).reshape(-1, WIDTH),
        )

    def label(self, number: int) -> str:
        return list(self.classes)[number % len(self.classes)]

    @rule(new=st.booleans(), number=st.integers(0, 9))
    def put_class(self, new: bool, number: int) -> None:
        self.made += 1
        if new or not self.classes:
            made = ClassRow(self.made, f"class {self.made}", None, vector(self.made))
        else:
            known = self.classes[self.label(number)]
            made = ClassRow(known.id, known.label, ("p",), vector(self.made))
        self.classes[made.label] = made
        self.memory.put_class(made)

    @precondition(lambda self: bool(self.classes))
    @rule(number=st.integers(0, 9), caption=st.sampled_from([-1, -1, 101, 102]))
    def add(self, number: int, caption: int) -> None:
        self.made += 1
        shot_id, label, key = f"shot {self.made}", self.label(number), vector(self.made)
        feature = vector(caption) if caption > 0 else None
        self.memory.add(shot_id, label, key, caption, feature)
        self.shots[shot_id] = (label, key, caption)

    @precondition(lambda self: bool(self.shots))
    @rule(shot=st.integers(0, 99), number=st.integers(0, 9))
    def relabel(self, shot: int, number: int) -> None:
        shot_id = list(self.shots)[shot % len(self.shots)]
        _, key, caption = self.shots[shot_id]
        self.shots[shot_id] = (self.label(number), key, caption)
        self.memory.forget(shot_id, key)
        feature = vector(caption) if caption > 0 else None
        self.memory.add(shot_id, self.label(number), key, caption, feature)

    @precondition(lambda self: bool(self.shots))
    @rule(shot=st.integers(0, 99))
    def forget(self, shot: int) -> None:
        shot_id = list(self.shots)[shot % len(self.shots)]
        _, key, _ = self.shots.pop(shot_id)
        self.memory.forget(shot_id, key)

    @precondition(lambda self: bool(self.classes))
    @rule(number=st.integers(0, 9))
    def delete_class(self, number: int) -> None:
        label = self.label(number)
        del self.classes[label]
        self.shots = {each: shot for each, shot in self.shots.items() if shot[0] != label}
        self.memory.delete_class(label)

    @rule()
    def load_again(self) -> None:
        """A restart: rows may be in another order afterwards, all else is equal."""
        loaded = make(self.learned, self.rows)
        loaded.load(
            self.classes.values(),
            self.rows(),
            {caption: vector(caption) for caption in (101, 102)},
        )
        assert_told(by_shot(loaded), by_shot(self.memory))
        self.memory = loaded

    @invariant()
    def holds_what_it_should(self) -> None:
        support = assert_consistent(self.memory)
        assert support.labels == tuple(self.classes)
        expected = {shot_id: self.told(shot_id) for shot_id in self.shots}
        assert_told(by_shot(self.memory), expected)
        for label, feature in zip(support.labels, support.classifier, strict=True):
            assert torch.equal(feature, self.class_text(label))

    def class_text(self, label: str) -> Tensor:
        own = torch.tensor(self.classes[label].feature)
        return self.learned.class_features.get(label, own)

    def told(self, shot_id: str) -> Told:
        learned, none = self.learned, torch.zeros(WIDTH)
        label, floats, caption = self.shots[shot_id]
        key = moved = torch.tensor(floats)
        if learned.low_rank is not None:
            moved = key + key @ learned.low_rank[0] @ learned.low_rank[1]
        moved = moved + learned.class_residuals.get(label, none)
        moved = moved + learned.shot_residuals.get(shot_id, none)
        captioned = caption > 0 and learned.text_key != "class"
        text = row(caption) if captioned else self.class_text(label)
        if learned.text_key == "conditioned":
            text = normalize(text + key, dim=0)
        return Told(label, key, text, moved, NETWORKS.meta_net(text))


@pytest.mark.parametrize("learned", LEARNED.values(), ids=LEARNED.keys())
def test_any_changes_in_any_order_leave_what_should_be_there(learned: Learned) -> None:
    run_state_machine_as_test(
        type("Bound", (Changes,), {"learned": learned}),
        settings=settings(max_examples=15, stateful_step_count=30, deadline=None),
    )


def test_plain_keys_come_from_the_store_where_the_index_has_others() -> None:
    learned = LEARNED["low rank"]
    rows = ShotRows(["one", "two"], np.ones(2, np.int64), -np.ones(2, np.int64), keys_of(2, 3))
    memory = make(learned, lambda: rows)
    memory.put_class(ClassRow(1, "cat", None, vector(1)))
    for shot_id, seed in (("two", 3), ("one", 2)):
        memory.add(shot_id, "cat", vector(seed))
    assert torch.equal(memory.keys(), torch.tensor(keys_of(3, 2)))
    assert not torch.equal(memory.image.keys(), memory.keys())


def test_a_copy_for_a_fit_lacks_what_the_store_has_lost_before_it_was_made() -> None:
    rows = ShotRows(["two"], np.ones(1, np.int64), -np.ones(1, np.int64), keys_of(3))
    memory = make(LEARNED["conditioned texts"], lambda: rows)
    moving = make(LEARNED["all at once"], lambda: rows)
    for each in (memory, moving):
        each.put_class(ClassRow(1, "cat", None, vector(1)))
        for seed, shot_id in enumerate(("one", "two", "six"), 2):
            each.add(shot_id, "cat", vector(seed))
    made, lacking = memory.support(1.0), moving.support(1.0)
    memory.forget("two", vector(3))
    assert len(made().keys) == 3
    support = lacking()
    assert torch.equal(support.keys, torch.tensor(keys_of(3)))
    text = normalize(row(1) + row(3), dim=0)
    torch.testing.assert_close(support.texts[support.text_rows], text[None])


def keys_of(*seeds: int) -> Floats:
    """(n, WIDTH)."""
    return np.stack([vector(seed) for seed in seeds])
