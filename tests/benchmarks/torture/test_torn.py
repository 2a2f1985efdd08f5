"""A small part of the torn logs, and that what is lost would be seen."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.torture import torn


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torn, "LONG_STEPS", 6)


def test_a_small_part_reaches_its_goals(tmp_path: Path) -> None:
    rows = torn.run(0.001, tmp_path)
    assert len(rows) == 4
    for row in rows:
        assert row.reached, row.line()


def test_a_change_that_is_lost_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = []

    def held(files: object, place: Path) -> object:
        first.append(0)
        return len(first) == 2

    monkeypatch.setattr(torn, "_held", held)
    rows = torn.run(0.0005, tmp_path)
    assert [row.reached for row in rows] == [False, True, True, False]


def test_tails_are_sound_up_to_the_first_frame_that_is_not(tmp_path: Path) -> None:
    frames = [bytes([number]) * torn.FRAME for number in range(1, 7)]
    content = bytes(torn.HEADER) + b"".join(frames)
    synced = torn.HEADER + 2 * torn.FRAME
    for seed in range(50):
        spoilt, sound = torn.spoilt(content, synced, random.Random(seed))
        assert len(spoilt) == len(content)
        assert spoilt[:sound] == content[:sound]
        assert sound >= synced
        rest = spoilt[sound : sound + torn.FRAME]
        assert not rest or rest != content[sound : sound + torn.FRAME]
