"""The command: what it prints, what it keeps, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.performance import __main__ as command
from benchmarks.performance import charts, document, registry, results
from benchmarks.performance.group import Group, Setting
from benchmarks.performance.results import Found
from tests.benchmarks.performance.groups import CURVE, FAILING, FIRST, GOOD, SECOND
from tests.benchmarks.performance.made_up import results as made_up


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where results go, instead of the project's own."""
    (tmp_path / "a.jpg").write_bytes(b"a photograph")
    path = tmp_path / "performance.json"
    monkeypatch.setattr(results, "CPU", path)
    monkeypatch.setattr(charts, "draw_curves", lambda curves: None)
    monkeypatch.setattr(charts, "draw_budgets", lambda budgets: None)
    monkeypatch.setattr(document, "refresh", lambda: None)
    groups = {"good": GOOD, "failing": FAILING}
    monkeypatch.setattr(registry, "CPU", tuple(groups))
    monkeypatch.setattr(registry, "group", groups.__getitem__)
    return path


def test_a_full_run_prints_and_keeps_every_row(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.main(photographs=kept.parent)
    found = results.read(kept)
    assert found is not None
    assert [row["name"] for row in found.rows] == ["first", "second", "first", "second"]
    assert found.rows[3]["note"] == "not run: RuntimeError: the peer did not start"
    assert found.curves == (CURVE,)
    assert list(found.facts["seconds"]) == ["good", "failing"]
    printed = capsys.readouterr().out
    assert "first: 1.00 against 3.00 ms (3.00 ×; goal: at least 2 ×; yes)" in printed
    assert "Of 2 goals 2 were reached, 0 missed, and 0 not run." in printed


@pytest.mark.parametrize("only", [["good"], None])
def test_a_part_and_a_quick_run_keep_nothing(kept: Path, only: list[str] | None) -> None:
    command.main(only=only, quick=only is None, photographs=kept.parent)
    assert not kept.exists()


def test_an_interrupt_leaves_what_was_kept(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(
        group: Group, setting: Setting, limit: float, show: Callable[[Found], None]
    ) -> list[Found]:
        show(FIRST.measured([1.0], [3.0]))
        raise KeyboardInterrupt

    results.write(made_up(), kept)
    monkeypatch.setattr(command, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command.main(photographs=kept.parent)
    assert results.read(kept) == made_up()
    assert "first: 1.00" in capsys.readouterr().out


def test_no_group_gets_more_than_what_is_left_of_the_ten_minutes(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []

    def told(
        group: Group, setting: Setting, limit: float, show: Callable[[Found], None]
    ) -> list[Found]:
        limits.append(limit)
        return []

    monkeypatch.setattr(command, "run", told)
    command.main(photographs=kept.parent)
    monkeypatch.setattr(command, "TOTAL_SECONDS", 6.0)
    command.main(photographs=kept.parent)
    assert limits[:2] == [2 * GOOD.seconds, 2 * FAILING.seconds]
    assert 1 <= limits[3] <= limits[2] <= 6


def test_rows_that_were_measured_are_not_replaced_by_rows_that_were_not(kept: Path) -> None:
    results.write(made_up(), kept)
    command.keep(made_up([SECOND.not_run("no CUDA device")]), kept)
    assert results.read(kept) == made_up()
    command.keep(made_up([FIRST.measured([1.0])]), kept)
    assert results.read(kept) == made_up([FIRST.measured([1.0])])
