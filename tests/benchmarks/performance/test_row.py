"""Ratios, goals and spreads of rows, against figures worked out by hand."""

from __future__ import annotations

import json

import pytest

from benchmarks.performance.row import Row

SPEED = Row("speed", "images/s", "higher", "ratio >= 3")
DELAY = Row("delay", "ms", "lower", "ratio >= 3")
SHARE = Row("share", "ms", "lower", "ratio <= 0.05")
EXTRA = Row("extra", "ms", "lower", "difference <= 1.5")


def test_more_is_better_of_a_speed_and_less_of_a_delay() -> None:
    assert SPEED.measured([30.0], [10.0]).ratio == 3
    assert DELAY.measured([10.0], [30.0]).ratio == 3


def test_under_an_upper_bound_the_ratio_is_a_part_of_theirs() -> None:
    row = SHARE.measured([1.0], [25.0])
    assert row.ratio == pytest.approx(0.04)
    assert row.reached is True


def test_runs_are_compared_in_pairs() -> None:
    # The second run was slow for both; the medians alone would say 4.
    row = DELAY.measured([1.0, 4.0, 1.0], [3.0, 12.0, 4.0])
    assert row.ratio == 3
    assert row.spread == (3, 4)


def test_without_pairs_the_medians_are_compared() -> None:
    row = SPEED.measured([1.0, 30.0, 90.0], [10.0])
    assert row.ratio == 3
    assert row.spread is None


@pytest.mark.parametrize(
    ("row", "ours", "theirs", "reached"),
    [
        (SPEED, 30, 10, True),
        (SPEED, 29.9, 10, False),
        (EXTRA, 11.5, 10, True),
        (EXTRA, 11.6, 10, False),
        (SHARE, 2, 10, False),
    ],
)
def test_a_goal_is_reached_or_not(row: Row, ours: float, theirs: float, reached: bool) -> None:
    assert row.measured([ours], [theirs]).reached is reached


def test_a_goal_can_be_on_ours_alone() -> None:
    row = Row("start", "s", "lower", "ours <= 5")
    assert row.measured([4.0, 6.0, 5.5]).reached is False
    assert row.measured([4.0, 6.0, 5.0]).reached is True
    assert row.measured([4.0, 6.0, 5.0]).spread == (4, 6)


def test_what_was_not_run_has_neither_reached_nor_missed() -> None:
    row = SPEED.measured([9.0], [1.0]).not_run("no CUDA device")
    assert (row.reached, row.ratio, row.ours) == (None, None, ())
    assert row.note == "not run: no CUDA device"


def test_without_a_goal_it_is_shown_only() -> None:
    row = Row("shown", "ms", "lower").measured([1.0], [2.0])
    assert (row.reached, row.ratio) == (None, 2)


def test_a_goal_on_a_ratio_without_theirs_is_not_decided() -> None:
    assert SPEED.measured([1.0]).reached is None


def test_many_runs_have_percentiles() -> None:
    row = Row("x", "ms", "lower", "ours <= 5").measured([float(i) for i in range(101)])
    assert row.spread == (10, 90)


def test_the_json_has_medians_and_is_short() -> None:
    found = DELAY.measured([1 / 3, 2 / 3, 1.0], [3.0, 3.0, 3.0], "a note").json()
    assert found == {
        "name": "delay",
        "ours": 0.666667,
        "theirs": 3,
        "unit": "ms",
        "ratio": 4.5,
        "goal": "ratio >= 3",
        "reached": True,
        "spread": [3, 9],
        "runs": 3,
        "note": "a note",
    }
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("goal", ["3 times", "ratio > 3", "theirs >= 3", "ratio >= three"])
def test_a_goal_that_nobody_can_check_is_refused(goal: str) -> None:
    with pytest.raises(ValueError, match="expected a goal such as"):
        Row("x", "ms", "lower", goal)


def test_no_run_is_no_measurement() -> None:
    with pytest.raises(ValueError, match="at least one run of 'speed'"):
        SPEED.measured([])
