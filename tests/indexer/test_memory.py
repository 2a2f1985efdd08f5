from __future__ import annotations

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adapter.networks import Networks
from adapter.support import SupportSet
from indexer.index import NumpyIndex
from indexer.keys import TextKeys
from indexer.memory import Memory
from indexer.records import ClassRow, Floats, ShotRows
from tests.indexer.helpers import directions

WIDTH = 8
NETWORKS = Networks.initial(WIDTH, 4)
CPU = torch.device("cpu")


def make() -> Memory:
    texts = TextKeys(NumpyIndex(4), NETWORKS.meta_net, WIDTH, CPU)
    return Memory(WIDTH, NumpyIndex(WIDTH), texts)


def vector(seed: int) -> Floats:
    array: Floats = directions(1, seed, WIDTH)[0].numpy()
    return array


def by_shot(memory: Memory) -> dict[str, tuple[str, bytes, bytes]]:
    """Shot -> label, key and text feature: everything but the order of the rows."""
    support = memory.support(1.0)
    texts = support.texts[support.text_rows]
    return {
        shot_id: (
            support.labels[int(support.targets[row])],
            support.keys[row].numpy().tobytes(),
            texts[row].numpy().tobytes(),
        )
        for row, shot_id in enumerate(memory.shot_ids(range(len(memory))))
    }


def assert_consistent(memory: Memory) -> SupportSet:
    support = memory.support(1.0)
    state = memory.state(CPU)
    assert len(memory.image) == len(memory) == len(support.targets)
    assert len(memory.texts) == len(memory.texts.index) == len(support.texts)
    # No text without a shot, and sums that are those of the keys, after any number of changes.
    assert set(support.text_rows.tolist()) == set(range(len(support.texts)))
    torch.testing.assert_close(state.counts, support.counts)
    torch.testing.assert_close(state.means, support.means, atol=1e-6, rtol=0)
    torch.testing.assert_close(state.targets, support.targets)
    return support


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

    def __init__(self) -> None:
        super().__init__()
        self.memory = make()
        self.classes: dict[str, ClassRow] = {}
        self.shots: dict[str, tuple[str, Floats, int]] = {}
        self.made = 0

    def label(self, number: int) -> str:
        return list(self.classes)[number % len(self.classes)]

    @rule(new=st.booleans(), number=st.integers(0, 9))
    def put_class(self, new: bool, number: int) -> None:
        self.made += 1
        if new or not self.classes:
            row = ClassRow(self.made, f"class {self.made}", None, vector(self.made))
        else:
            known = self.classes[self.label(number)]
            row = ClassRow(known.id, known.label, ("p",), vector(self.made))
        self.classes[row.label] = row
        self.memory.put_class(row)

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
        self.memory.relabel(shot_id, self.label(number))

    @precondition(lambda self: bool(self.shots))
    @rule(shot=st.integers(0, 99))
    def forget(self, shot: int) -> None:
        shot_id = list(self.shots)[shot % len(self.shots)]
        del self.shots[shot_id]
        self.memory.forget(shot_id)

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
        loaded = make()
        loaded.load(
            self.classes.values(),
            ShotRows(
                ids=list(self.shots),
                class_ids=np.array(
                    [self.classes[shot[0]].id for shot in self.shots.values()], dtype=np.int64
                ),
                text_ids=np.array([shot[2] for shot in self.shots.values()], dtype=np.int64),
                keys=np.array([shot[1] for shot in self.shots.values()], np.float32).reshape(
                    -1, WIDTH
                ),
            ),
            {caption: vector(caption) for caption in (101, 102)},
        )
        assert by_shot(loaded) == by_shot(self.memory)
        self.memory = loaded

    @invariant()
    def holds_what_it_should(self) -> None:
        support = assert_consistent(self.memory)
        assert support.labels == tuple(self.classes)
        expected = {
            shot_id: (
                label,
                key.tobytes(),
                (vector(caption) if caption > 0 else self.classes[label].feature).tobytes(),
            )
            for shot_id, (label, key, caption) in self.shots.items()
        }
        assert by_shot(self.memory) == expected


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
