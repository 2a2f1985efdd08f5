"""Results files hold what was measured, and give it back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.performance import results
from benchmarks.performance.machine import commit, machine, versions
from benchmarks.performance.row import RowJson
from tests.benchmarks.performance.made_up import BUDGETS, CURVES, ROWS
from tests.benchmarks.performance.made_up import results as made_up


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "performance.json"
    results.write(made_up(), path)
    assert results.read(path) == made_up()
    assert results.read(tmp_path / "other.json") is None


def test_a_file_says_on_what_it_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "performance.json"
    results.write(results.collect([*ROWS, *CURVES, *BUDGETS], "32 files", {"a": 1.26}), path)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["machine"] == dict(machine())
    assert found["versions"] == versions()
    assert found["commit"] == commit()
    assert (found["photographs"], found["seconds"]) == ("32 files", {"a": 1.3})
    assert [row["name"] for row in found["rows"]] == [row.name for row in ROWS]
    assert set(found["rows"][0]) == set(RowJson.__annotations__)


def test_a_machine_has_a_processor_cores_and_memory() -> None:
    found = machine()
    assert found["processor"]
    assert isinstance(found["cores"], int)
    assert found["cores"] >= 1
    assert isinstance(found["memory_gb"], float)
    assert found["memory_gb"] > 0.5
    assert {"python", "torch", "open_clip_torch"} <= set(versions())


@pytest.mark.parametrize("path", [results.CPU, results.GPU])
def test_the_kept_files_have_every_field(path: Path) -> None:
    if not path.is_file():
        pytest.skip(f"{path.name} has not been measured")
    found = json.loads(path.read_text(encoding="utf-8"))
    assert {"machine", "versions", "commit", "date", "photographs", "seconds"} <= set(found)
    for row in found["rows"]:
        assert set(row) == set(RowJson.__annotations__)
        # What was not run says why, and neither reached nor missed anything.
        assert (row["ours"] is None) == row["note"].startswith("not run: ")
        if row["ours"] is None:
            assert (row["reached"], row["ratio"], row["runs"]) == (None, None, 0)
