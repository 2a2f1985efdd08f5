"""Rows as people read them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmarks.performance import table
from benchmarks.performance.row import Row
from tests.benchmarks.performance.made_up import COSINE, FASTAPI, IDLE, INFINITY, ROWS, SHOWN


def test_each_row_is_a_line_of_markdown() -> None:
    lines = table.markdown(row.json() for row in ROWS).splitlines()
    assert lines[0].count("|") == lines[1].count("|")
    assert lines[2] == (
        f"| {FASTAPI.name} | 310 | 100 | requests/s | 3.10 × | at least 3 × | yes | "
        "3.00 to 3.20, 3 |  |"
    )
    assert lines[3] == (
        f"| {INFINITY.name} |  |  | requests/s |  | at least 1.2 × | not run |  | "
        "not run: run make bench-peers |"
    )
    assert lines[6] == "| a \\| b | 0.0123 |  | ms |  |  | – | 1 | of one run |"


@pytest.mark.parametrize(
    ("row", "goal", "verdict"),
    [
        (FASTAPI.measured([299.0], [100.0]), "at least 3 ×", "NO"),
        (IDLE.measured([1.0], [0.0]), "at most 1.5 ms more", "yes"),
        (COSINE.measured([0.99995]), "at least 0.9999 cosine", "yes"),
        (FASTAPI.measured([299.0]), "at least 3 ×", "not known"),
        (SHOWN.not_run("why"), "", "not run"),
    ],
)
def test_goals_and_verdicts_are_words(row: Row, goal: str, verdict: str) -> None:
    assert (table.goal(row.json()), table.verdict(row.json())) == (goal, verdict)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12345.6, "", "12,346"),
        (45.67, "ms", "45.7"),
        (4.567, "ms", "4.57"),
        (0.04567, "ms", "0.0457"),
        (0.99988, "cosine", "0.99988"),
        (99.496, "%", "99.50"),
        (-3.5, "ms", "-3.50"),
        (0.0, "LSB", "0.00"),
        (None, "ms", ""),
    ],
)
def test_figures_have_the_digits_that_mean_something(
    value: float | None, unit: str, text: str
) -> None:
    assert table.figure(value, unit) == text


def test_a_goal_just_missed_does_not_read_as_reached() -> None:
    row = COSINE.measured([0.99988]).json()
    assert table.cells(row)[1] == "0.99988"
    assert table.verdict(row) == "NO"


def test_the_spread_is_of_what_the_goal_is_on() -> None:
    assert table.spread(COSINE.measured([0.9999, 0.99995]).json()) == "0.99990 to 0.99995, 2"
    assert table.spread(SHOWN.measured([1.0, 2.0], [2.0, 2.0]).json()) == "1.00 to 2.00, 2"


def test_ours_beside_theirs_is_a_ratio_or_the_difference_that_the_goal_is_on() -> None:
    assert table.beside(IDLE.measured([9.75], [7.0]).json()) == "+2.75 ms"
    assert table.beside(FASTAPI.measured([9.0], [3.0]).json()) == "3.00 ×"
    assert table.beside(COSINE.measured([0.5]).json()) == ""


def test_the_terminal_shows_names_and_notes() -> None:
    stream = io.StringIO()
    Console(file=stream, width=160).print(table.terminal(row.json() for row in ROWS))
    text = stream.getvalue()
    assert "run make bench-peers" in text
    assert "3.10 ×" in text
