"""A group's rows are complete whatever happens in it, and it leaves no process behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.performance.group import Setting
from benchmarks.performance.results import Found
from benchmarks.performance.row import Row
from benchmarks.performance.runner import run
from tests.benchmarks.performance.groups import CURVE, FAILING, FIRST, GOOD, SECOND, SLOW


def test_what_a_group_finds_comes_back_as_it_was_shown(tmp_path: Path) -> None:
    shown: list[Found] = []
    found = run(GOOD, Setting((b"a", b"b"), tmp_path), 60, shown.append)
    assert found == [FIRST.measured([1.0], [3.0]), CURVE, SECOND.measured([2.0])]
    assert shown == found
    assert not list(tmp_path.iterdir())


def test_what_a_group_did_not_come_to_says_why(tmp_path: Path) -> None:
    found = run(FAILING, Setting((), tmp_path), 60, lambda each: None)
    assert found == [
        FIRST.measured([1.0], [3.0]),
        SECOND.not_run("RuntimeError: the peer did not start"),
    ]


def test_a_group_that_outstays_its_time_is_ended_with_its_servers(tmp_path: Path) -> None:
    written = tmp_path / "pid"
    found = run(SLOW, Setting((str(written).encode(),), tmp_path), 6, lambda each: None)
    assert found[-1] == SECOND.not_run("the 6 s for its group were over")
    assert not Path("/proc", written.read_text()).exists()


def test_a_row_that_was_not_declared_is_a_fault(tmp_path: Path) -> None:
    other = type(GOOD)("good", 5, (Row("other", "ms", "lower"),), GOOD.measure)
    with pytest.raises(KeyError, match="first"):
        run(other, Setting((), tmp_path), 60, lambda each: None)
