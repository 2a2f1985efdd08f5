"""The documents say what the results files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.performance import document, results
from benchmarks.performance.row import Row
from tests.benchmarks.performance.made_up import FASTAPI, ROWS
from tests.benchmarks.performance.made_up import results as made_up

BLOCKS = ("rows", "stages", "gpu")


def page(folder: Path, *names: str) -> Path:
    path = folder / f"{names[0]}.md"
    blocks = [f"<!-- {name}: begin -->\nold\n<!-- {name}: end -->" for name in names]
    path.write_text("\n".join(["before", *blocks, "after\n"]))
    return path


def test_a_refresh_replaces_what_is_between_the_markers(tmp_path: Path) -> None:
    pages = page(tmp_path, *BLOCKS), page(tmp_path, "performance")
    cpu, gpu = tmp_path / "cpu.json", tmp_path / "gpu.json"
    results.write(made_up(), cpu)
    document.refresh(*pages, cpu, gpu)
    text, words = (path.read_text() for path in pages)
    for each in (text, words):
        assert each.startswith("before\n")
        assert each.endswith("\nafter\n")
        assert "old" not in each
        assert "Of 4 goals 2 were reached, 1 missed, and 1 not run." in each
    assert f"| {FASTAPI.name} | 310 | 100 |" in text
    assert "| decode | 2.00 | 20 % | 1.50 | libjpeg-turbo |" in text
    assert "| rest | 2.00 | 20 % |  |  |" in text
    assert "commit abc1234-dirty: Abacus 5, 2 cores (avx512_bf16), 24 GB, no GPU" in text
    assert document.NO_GPU in text
    assert "3.10 times plain FastAPI (310 against 100; goal at least 3 ×, reached)" in words
    assert "infinity" not in words


def test_without_results_the_documents_say_so(tmp_path: Path) -> None:
    pages = page(tmp_path, *BLOCKS), page(tmp_path, "performance")
    document.refresh(*pages, tmp_path / "cpu.json", tmp_path / "gpu.json")
    for path in pages:
        assert document.NOT_MEASURED in path.read_text()


def test_rows_of_a_gpu_that_were_not_run_are_shown_as_such() -> None:
    rows = [Row("a", "ms", "lower", "ours <= 3").not_run("no CUDA device")]
    text = document.gpu_block(made_up(rows))
    assert text.startswith(document.NO_GPU)
    assert "| a |  |  | ms |  | at most 3 ms | not run |" in text


def test_a_page_without_markers_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows: begin"):
        document.refresh(page(tmp_path, "gpu"), page(tmp_path, "performance"))


def test_the_documents_of_the_project_are_in_step_with_the_results(tmp_path: Path) -> None:
    copies = tmp_path / "document.md", tmp_path / "readme.md"
    originals = document.DOCUMENT, document.README
    for original, copy in zip(originals, copies, strict=True):
        copy.write_text(original.read_text(encoding="utf-8"), encoding="utf-8")
    document.refresh(*copies)
    for original, copy in zip(originals, copies, strict=True):
        assert copy.read_text(encoding="utf-8") == original.read_text(encoding="utf-8")


def test_a_tally_counts_goals_alone() -> None:
    assert document.tally(row.json() for row in ROWS[3:]) == (
        "Of 1 goals 1 were reached, 0 missed, and 0 not run."
    )
