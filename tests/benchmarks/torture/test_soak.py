from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.torture import mixture, soak
from benchmarks.torture.row import Clock
from benchmarks.torture.vitals import Vitals
from tests.benchmarks.torture.fleets import local_fleet


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "fleet", local_fleet)
    monkeypatch.setattr(soak, "SAMPLES", 20)
    monkeypatch.setattr(soak, "CALLERS", 2)
    monkeypatch.setattr(mixture, "KEPT", 4)


def test_it_answers_as_expected_and_no_version_is_left_out(tmp_path: Path) -> None:
    rows = soak.run(0.0008, tmp_path)
    assert [row.name for row in rows] == [
        "soak: growth of resident memory",
        "soak: descriptors",
        "soak: threads",
        "soak: versions",
        "soak: answers",
    ]
    versions, answers = rows[-2:]
    assert versions.reached, versions.line()
    assert answers.reached, answers.line()


def grown(by: float) -> list[Vitals]:
    """A minute in which everything grows by this part of what it was."""
    return [
        Vitals(float(second), *(size * (1 + by * second / 60) for size in (100, 100, 100)))  # type: ignore[arg-type]
        for second in range(61)
    ]


@pytest.mark.parametrize(("by", "reached"), [(0.0, True), (0.5, False)])
def test_growth_is_noticed(by: float, reached: bool) -> None:
    rows = soak._growth(grown(by), Clock())
    assert [row.reached for row in rows] == [reached] * 3


@pytest.mark.parametrize(
    ("versions", "figure"),
    [([3, 1, 2], "0 gaps"), ([1, 3], "1 gaps"), ([1, 1], "1 gaps")],
)
def test_gaps_and_repeats_are_noticed(versions: list[int], figure: str) -> None:
    mixed = mixture.Mixture("http://127.0.0.1:1", 0)
    mixed.versions = versions
    row, _ = soak._answers([mixed], Clock())
    assert figure in row.figure
    assert row.reached == (figure == "0 gaps")


def test_an_answer_that_was_not_expected_is_noticed() -> None:
    mixed = mixture.Mixture("http://127.0.0.1:1", 0)
    mixed.wrong = ["GET /cache: expected 200, got 500"]
    _, row = soak._answers([mixed], Clock())
    assert not row.reached
    assert row.figure.endswith("got 500")


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    soak.plot(grown(0.1), tmp_path / "soak.png")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
