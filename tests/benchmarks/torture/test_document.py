"""Rows are kept, and the document shows what was kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.torture import document
from benchmarks.torture.cases import CASES, case
from benchmarks.torture.row import Row, write


def test_every_case_can_be_run() -> None:
    for name in CASES:
        assert callable(case(name))
    with pytest.raises(ValueError, match="expected one of"):
        case("nonsense")


def test_a_row_that_missed_its_goal_says_so() -> None:
    row = Row("kills", "2 lost", "0 lost", reached=False, seconds=3.4)
    assert row.line() == "kills: 2 lost (goal: 0 lost; NOT REACHED; 3 s)"


def test_the_document_shows_kept_rows_and_names_what_was_not_run(tmp_path: Path) -> None:
    first, second = CASES[:2]
    rows = [Row("a|b", "1", "2", reached=False, seconds=9.6), Row("c", "d", "e", True, 0.2)]
    path = write(first, 1.0, rows, tmp_path)
    assert json.loads(path.read_text())["rows"][0]["reached"] is False
    page = tmp_path / "page.md"
    page.write_text(f"before\n{document.BEGIN}\nold\n{document.END}\nafter\n")
    document.refresh(page, tmp_path)
    text = page.read_text()
    assert "| a\\|b | 1 | 2 | **no** | 10 |\n| c | d | e | yes | 0 |" in text
    assert f"| `{second}` | not run |" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text


def test_the_document_of_the_project_has_its_markers() -> None:
    text = document.DOCUMENT.read_text(encoding="utf-8")
    assert text.index(document.BEGIN) < text.index(document.END)
