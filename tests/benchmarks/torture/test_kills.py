"""A few kills, and that what they must not do would be seen."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.torture import kills
from benchmarks.torture.account import Account, Tally, Unit, units_of
from benchmarks.torture.pupil import Pupil
from benchmarks.torture.readings import ENCODER
from indexer.cache import Cache
from indexer.records import Reply, Request


def test_a_few_kills_reach_their_goals(tmp_path: Path) -> None:
    rows = kills.run(0.005, tmp_path)
    for row in rows:
        assert row.reached, row.line()
    assert rows[0].figure.startswith("5 kills")


class Lesson:
    """A cache that a pupil changes in this process, and what it noted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder / "cache", folder / "notes"
        self.cache = Cache.open(self.folder, ENCODER)
        self.file = os.open(self.notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.pupil = Pupil(self.cache, self.file, random.Random(0), "one")

    def learn(self, steps: int) -> None:
        """So many changes of any kind."""
        for _ in range(steps):
            self.pupil.step(alone=True)

    def end(self) -> None:
        """Close everything."""
        self.cache.close()
        os.close(self.file)


@pytest.fixture
def lesson(tmp_path: Path) -> Lesson:
    lesson = Lesson(tmp_path)
    lesson.learn(40)
    return lesson


def settled(folder: Path, units: Sequence[Unit]) -> Tally:
    tally = Tally()
    with Cache.open(folder, ENCODER) as cache:
        Account(tally).settle(cache, units)
    return tally


def test_what_was_noted_explains_what_is_there(lesson: Lesson) -> None:
    lesson.end()
    units = units_of([lesson.notes])
    tally = settled(lesson.folder, units)
    assert tally.notes == []
    assert tally.acknowledged == len(units) > 20
    assert tally.groups > 0
    kinds = {change["kind"] for unit in units for change in unit.changes}
    assert kinds == {"add", "relabel", "forget", "put_class", "delete_class", "rollback"}


def test_what_was_acknowledged_and_is_not_there_is_lost(lesson: Lesson, tmp_path: Path) -> None:
    shutil.copytree(lesson.folder, tmp_path / "before")
    lesson.pupil.add("one more")
    lesson.end()
    tally = settled(tmp_path / "before", units_of([lesson.notes]))
    assert (tally.lost > 0, tally.doubled, tally.half_done) == (True, 0, 0)


def test_what_is_there_twice_is_doubled(lesson: Lesson) -> None:
    lesson.pupil.put_class("again")
    with lesson.cache.group():
        lesson.cache.put_class("class 9", ["again"], caller="again")
    lesson.end()
    assert settled(lesson.folder, units_of([lesson.notes])).doubled > 0


def test_a_change_that_nobody_made_is_seen(lesson: Lesson) -> None:
    lesson.cache.put_class("class 9", ["another"], caller="another")
    lesson.end()
    assert settled(lesson.folder, units_of([lesson.notes])).doubled > 0


def cut_off(notes: Path, tag: str) -> list[Unit]:
    """As if the process had been killed before it was told."""
    lines = [json.loads(line) for line in notes.read_text().splitlines()]
    left = [line for line in lines if line.get("done") != tag]
    notes.write_text("".join(json.dumps(line) + "\n" for line in left))
    return units_of([notes])


def test_what_was_not_acknowledged_may_be_there(lesson: Lesson) -> None:
    lesson.pupil.group("last")
    lesson.end()
    tally = settled(lesson.folder, cut_off(lesson.notes, "last"))
    assert (tally.notes, tally.cut_off) == ([], 1)


@pytest.mark.parametrize(
    "half",
    [
        lambda cache: cache.put_class("class 0", ["last.p"], caller="last.p"),
        lambda cache: cache.remember(Request("last", "last"), Reply(201, b"last")),
    ],
)
def test_half_of_a_group_is_half_done(
    lesson: Lesson, tmp_path: Path, half: Callable[[Cache], Any]
) -> None:
    shutil.copytree(lesson.folder, tmp_path / "before")
    lesson.pupil.group("last")
    lesson.end()
    with Cache.open(tmp_path / "before", ENCODER) as cache:
        half(cache)
    tally = settled(tmp_path / "before", cut_off(lesson.notes, "last"))
    assert tally.half_done > 0
    assert tally.lost == 0


def test_a_copy_is_whole_or_not_there(lesson: Lesson) -> None:
    lesson.pupil.carry("carried")
    lesson.pupil.add("one more")
    copy = lesson.folder.with_name("copy carried")
    lesson.end()
    units = units_of([lesson.notes])
    kept = copy.with_name("kept")
    shutil.copytree(copy, kept)
    assert settled(lesson.folder, units).notes == []
    assert settled(lesson.folder, units).lost == sum(unit.copy is not None for unit in units)
    with Cache.open(kept, ENCODER) as cache:
        cache.put_class("class 9")
    kept.rename(copy)
    assert settled(lesson.folder, units).half_done == 1


def test_a_line_that_was_not_written_whole_is_none(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.write_text('{"opened": true}\n{"begun": "a", "do": []}\n{"done": "a", "vers')
    (unit,) = units_of([notes, tmp_path / "none"])
    assert unit.version is None


def test_findings_miss_the_goals() -> None:
    tally = Tally()
    tally.wrong("lost", "a shot", 2)
    rows = kills.rows(tally, 5, 1.0)
    assert [row.reached for row in rows] == [False, False, True, True]
    assert "lost: a shot" in rows[0].figure
