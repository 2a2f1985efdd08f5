"""A small part of the flipped bytes and cut ends, and that a wrong answer would be seen."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.torture import flips
from benchmarks.torture.lessons import LOG, MAIN, MAP, Lesson
from benchmarks.torture.readings import readings
from indexer.reader import Reader


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flips, "STEPS", 5)


def test_a_small_part_reaches_its_goals(tmp_path: Path) -> None:
    rows = flips.run(0.001, tmp_path)
    assert [row.name.split(":")[0] for row in rows[::2]] == [MAIN, LOG, MAP]
    for row in rows:
        assert row.reached, row.line()
    assert rows[0].figure.startswith("10: 0 wrong answers")


def _spoilt_thumbnail(chosen: random.Random, content: bytes) -> tuple[str, bytes]:
    at = content.index(b"RIFF")
    return "a thumbnail", content[:at] + b"r" + content[at + 1 :]


def test_a_thumbnail_without_a_checksum_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = list(flips.samples(tmp_path))[2:3]
    found = flips.tried(MAIN, samples, 1, _spoilt_thumbnail, tmp_path)
    assert (found.told, found.wrong) == (1, {})
    monkeypatch.setattr(Reader, "_checked", lambda self, row: (None, row[3]))
    found = flips.tried(MAIN, samples, 1, _spoilt_thumbnail, tmp_path)
    assert list(found.wrong) == ["cache 0, a thumbnail"]


def test_an_error_of_another_kind_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = list(flips.samples(tmp_path))[:1]

    def fails(self: Reader) -> None:
        raise KeyError("page 7")

    monkeypatch.setattr(Reader, "check", fails)
    assert "page 7" in str(flips.tried(LOG, samples, 1, flips.flip, tmp_path).wrong)


def test_everything_that_is_asked_is_answered(tmp_path: Path) -> None:
    lesson = Lesson.begin(tmp_path / "cache")
    for step in range(12):
        lesson.learn(step)
    lesson.cache.close()
    found = readings(lesson.folder, lesson.names)
    assert not found.told
    assert "UnknownVersion" not in found.values.values()
    assert {"classify", "version", "versions", "shots", "classes"} < found.values.keys()
    kinds = {name.split()[0] for name in found.values}
    assert {"shot", "thumbnail", "views", "image", "answer", "difference", "rollback"} < kinds
