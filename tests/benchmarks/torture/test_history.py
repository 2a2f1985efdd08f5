from __future__ import annotations

import pytest

from benchmarks.torture.history import (
    Acknowledged,
    Add,
    DeleteClass,
    Forget,
    Held,
    History,
    Operation,
    PutClass,
    Relabel,
    Rollback,
    State,
)

ANT = Add("ant", (("a", None), ("b", "two ants")), ("1", "2"))
BEE = Add("bee", (("c", None), ("d", None)))
HELD = {"a": Held("ant", None, "1"), "b": Held("ant", "two ants", "2")}
TAUGHT = State(HELD, {"ant": None})
BEES = {"c": Held("bee", None, "3"), "d": Held("bee", None, "4")}
BOTH = State({**HELD, **BEES}, {"ant": None, "bee": None})


@pytest.fixture
def history() -> History:
    """One that knows of one add."""
    history = History()
    assert history.extend([Acknowledged(ANT, 1)], [], 1, TAUGHT)
    return history


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (Relabel("a", "1", "bee"), ({"a": Held("bee", None, "1"), "b": HELD["b"]}, {"bee"})),
        (Forget("b", "2"), ({"a": HELD["a"]}, set())),
        (PutClass("cow", ("a cow",)), (HELD, {"cow"})),
        (DeleteClass("ant"), ({}, set())),
        (Rollback(0), ({}, set())),
        (Rollback(1), (HELD, set())),
    ],
)
def test_what_each_change_does(
    history: History, operation: Operation, expected: tuple[dict[str, Held], set[str]]
) -> None:
    shots, classes = expected
    after = operation.apply(history.state, history.past)
    assert after.shots == shots
    kept = {"ant"} if shots or operation == Rollback(1) else set()
    assert after.classes.keys() == classes | kept
    assert history.extend([Acknowledged(operation, 2)], [], 2, after)


@pytest.mark.parametrize(
    "operation",
    [
        Add("bee", (("new", None), ("a", None))),
        Relabel("a", "another id", "bee"),
        Relabel("a", "1", "ant"),
        Forget("a", "another id"),
        PutClass("ant", None),
        DeleteClass("bee"),
        Rollback(7),
    ],
)
def test_what_is_refused_or_is_so_already_changes_nothing(
    history: History, operation: Operation
) -> None:
    assert operation.apply(history.state, history.past) is history.state
    assert not history.extend([Acknowledged(operation, 2)], [], 2, TAUGHT)


def test_one_that_was_cut_off_is_there_or_not(history: History) -> None:
    assert history.extend([], [BEE], 1, TAUGHT)
    assert history.extend([], [BEE], 2, BOTH)
    assert history.state.shots["c"].shot_id == "3"


def test_one_that_was_cut_off_may_lie_between_two_that_were_acknowledged(
    history: History,
) -> None:
    told = [Acknowledged(PutClass("cow", None), 2), Acknowledged(DeleteClass("bee"), 4)]
    after = State(HELD, {"ant": None, "cow": None})
    assert history.extend(told, [Forget("a", "1"), BEE], 4, after)


def test_of_several_that_were_cut_off_any_order_may_be_theirs(history: History) -> None:
    cut_off: list[Operation] = [Forget("c", "3"), Rollback(0), PutClass("ant", ("an ant",))]
    assert history.extend([], cut_off, 3, State({}, {"ant": ("an ant",)}))


def test_one_that_changed_nothing_may_tell_a_version_that_another_made(history: History) -> None:
    put = PutClass("cow", None)
    assert history.extend(
        [Acknowledged(put, 2), Acknowledged(put, 2)], [], 2, put.apply(TAUGHT, {})
    )


@pytest.mark.parametrize(
    ("told", "cut_off", "version", "observed"),
    [
        ([BEE], [], 2, TAUGHT),
        ([BEE], [], 1, TAUGHT),
        ([], [BEE], 2, TAUGHT),
        ([], [BEE], 1, BOTH),
        ([], [], 2, TAUGHT),
        ([], [], 2, BOTH),
        ([], [BEE], 2, State({**HELD, "c": BEES["c"]}, {"ant": None, "bee": None})),
        ([], [BEE], 3, BOTH),
        ([Forget("a", "1")], [], 2, State({"b": Held("ant", None, "2")}, {"ant": None})),
        ([Forget("a", "1")], [], 2, State({"b": Held("ant", "two ants", "9")}, {"ant": None})),
    ],
    ids=[
        "lost",
        "lost with its version",
        "a version without its change",
        "a change without its version",
        "a version of nobody's",
        "shots of nobody's",
        "half of an add",
        "twice",
        "another caption",
        "another id",
    ],
)
def test_what_nothing_explains(
    history: History, told: list[Operation], cut_off: list[Operation], version: int, observed: State
) -> None:
    acknowledged = [Acknowledged(operation, 2) for operation in told]
    assert not history.extend(acknowledged, cut_off, version, observed)
    assert history.state == observed


def test_two_changes_of_one_version_are_not_explained(history: History) -> None:
    told = [Acknowledged(BEE, 2), Acknowledged(PutClass("cow", None), 2)]
    after = State(BOTH.shots, {**BOTH.classes, "cow": None})
    assert not history.extend(told, [], 2, after)


def test_differences_are_counted() -> None:
    assert BOTH.differences(TAUGHT) == 3
    assert TAUGHT.differences(BOTH) == 0


def test_only_so_many_versions_are_remembered(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.torture.history.REMEMBERED", 2)
    put = PutClass("cow", None)
    assert history.extend([Acknowledged(put, 2)], [], 2, put.apply(TAUGHT, {}))
    assert set(history.past) == {1, 2}


def test_one_cut_off_may_have_made_a_version_that_others_were_told_of(history: History) -> None:
    """Both waited together: one made the class, the other found it, and one answer was lost."""
    made, found = PutClass("cow", None), PutClass("cow", None)
    after = State(HELD, {"ant": None, "cow": None})
    assert history.extend([Acknowledged(found, 2)], [made], 2, after)
    history.version, history.past = 1, {1: TAUGHT}
    assert not history.extend([Acknowledged(Forget("a", "1"), 2)], [made], 2, after)
    assert "only at the end" in history.stuck
