"""A small part of the mutated images, with all that is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.torture import images
from benchmarks.torture.decoding import Outcome


def test_a_small_part_reaches_its_goals(tmp_path: Path) -> None:
    decoded, sent = images.run(0.002, tmp_path)
    assert decoded.reached, decoded.line()
    assert sent.reached, sent.line()
    assert decoded.figure.startswith("200 (")
    assert sent.figure.startswith("10: ")


@pytest.mark.parametrize(
    "found",
    [
        Outcome(images=4, crashes=[4]),
        Outcome(images=4, hangs=[4]),
        Outcome(images=4, strays=[4]),
        Outcome(images=4),
        Outcome(images=5, growth=5_000.0),
    ],
)
def test_a_loss_misses_the_goal_and_its_file_is_kept(
    found: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "KEPT", tmp_path)
    monkeypatch.setattr(images, "decode", lambda *_: found)
    monkeypatch.setattr(images, "_sent", lambda *_: [])
    (row,) = images.run(0.00005, tmp_path)
    assert not row.reached
    lost = [*found.crashes, *found.hangs, *found.strays]
    assert [path.name for path in tmp_path.iterdir()] == [f"mutation-{number}" for number in lost]
