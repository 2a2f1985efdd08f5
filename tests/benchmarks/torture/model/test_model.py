"""A small part of the comparison with a plain model, and what it says of a cache that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import Phase

from benchmarks.torture import model
from indexer import state
from indexer.records import ClassRow


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "EXAMPLES", 3)
    monkeypatch.setattr(model, "STEPS", 20)


def test_a_small_part_finds_no_difference(tmp_path: Path) -> None:
    (row,) = model.run(0.001, tmp_path)
    assert row.reached, row.line()
    assert row.figure.endswith(" operations, 0 differences")
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_forgets_a_class_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(*_: object) -> list[ClassRow]:
        return []

    monkeypatch.setattr(state, "_classes_put", none)
    monkeypatch.setattr(model, "PHASES", (Phase.generate,))
    (row,) = model.run(0.01, tmp_path)
    assert not row.reached
    assert row.figure.endswith(" operations, 1 differences")
    assert "state.begin(" in "".join(capsys.readouterr())
