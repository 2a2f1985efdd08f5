"""Random bits flipped, and ends cut off, in each of SQLite's files of a cache.

After each, the cache is opened and asked everything (see `benchmarks.torture.readings`). All that
it answers must be what it held at one version that was acknowledged; where it cannot, it must say
so, and name the file. The main file must not go back in time; of a damaged log SQLite reads what
is before the damage, so there an earlier version is right.
"""

from __future__ import annotations

import faulthandler
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.torture.lessons import LOG, MAIN, MAP, Files, Lesson, ask
from benchmarks.torture.readings import TOLD, Names, Readings
from benchmarks.torture.row import Clock, Row
from benchmarks.torture.vitals import vitals

FLIPS = 10_000
CUTS = 1_000
HANG_SECONDS = 10.0
GROWTH = 64.0
"""MB of resident memory, which is what an allocator may keep."""

WARM = 100
"""Trials before memory is measured first."""

STEPS = 12
SHOWN = 3
MEMORY = Path("/dev/shm")
PARTS = {MAIN: "main", LOG: "log", MAP: "map"}
Damage = Callable[[random.Random, bytes], tuple[str, bytes]]


@dataclass(frozen=True)
class Sample:
    """A cache as it lies on disk.

    Attributes:
        files: its own.
        names: what to ask.
        expected: what it held at each version that it may open to, the latest last.
    """

    files: Files
    names: Names
    expected: Sequence[Readings]


@dataclass
class Found:
    """What came of the trials with one kind of file.

    Attributes:
        done: trials.
        told: in which damage was told, at the opening or in answer to a question.
        earlier: in which the cache opened to an earlier version.
        wrong: trial -> what was wrong in it.
        slowest: seconds of the slowest trial.
        growth: MB of resident memory.
    """

    done: int = 0
    told: int = 0
    earlier: int = 0
    wrong: dict[str, str] = field(default_factory=dict)
    slowest: float = 0.0
    growth: float = 0.0


def run(effort: float, folder: Path) -> Sequence[Row]:
    """Flip and cut; a row for each kind of file and of damage."""
    with in_memory(folder) as place:
        drawn = list(samples(place))
        return [
            row
            for name in (MAIN, LOG, MAP)
            for row in (
                _row("random bytes flipped", name, drawn, round(FLIPS * effort), flip, place),
                _row("cut off", name, drawn, round(CUTS * effort), cut, place),
            )
        ]


@contextmanager
def in_memory(folder: Path) -> Iterator[Path]:
    """A folder in memory where there is such a place, else `folder`."""
    if not (MEMORY.is_dir() and os.access(MEMORY, os.W_OK)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="xmadapter-torture-", dir=MEMORY) as made:
        yield Path(made)


def samples(place: Path) -> Iterator[Sample]:
    """Caches whose changes are in the log, in the main file, in both, or some here, some there."""
    lesson = Lesson.begin(place / "taught")
    first = lesson.folder
    moments = [Files.of(first)]
    for step in range(STEPS):
        lesson.learn(step)
        moments.append(Files.of(first))
    lesson.cache.refit()
    moments.append(Files.of(first))
    yield _sample(moments, lesson.names, place)
    lesson.fold()
    both = Files.of(first)
    yield _sample([*moments[:-1], both], lesson.names, place)
    yield _sample([replace(both, log=None, map=None)], lesson.names, place)
    # The next change begins the log anew, with what it was still behind it.
    lesson.learn(STEPS + 6)
    moments = [both, Files.of(first)]
    lesson.learn(STEPS + 9)
    moments.append(Files.of(first))
    # Damaged numbers are fitted again, to the shots that there are: so they must be to these.
    lesson.cache.refit()
    moments.append(Files.of(first))
    yield _sample(moments, lesson.names, place)
    lesson.cache.close()
    shutil.rmtree(first)


def _sample(moments: Sequence[Files], names: Names, place: Path) -> Sample:
    names = replace(names)
    expected = [ask(files, place / "expected", names) for files in moments]
    assert not any(each.told for each in expected)
    return Sample(moments[-1], names, expected)


def flip(chosen: random.Random, content: bytes) -> tuple[str, bytes]:
    """One byte made another, by one bit or by many.

    Half of them are bytes that are not zero: most of a page is empty, and a change there is none.
    """
    at = chosen.randrange(len(content))
    if chosen.random() < 0.5:
        at = next((n for n in range(at, len(content)) if content[n]), at)
    mask = chosen.choice([1 << chosen.randrange(8), chosen.randrange(1, 256)])
    changed = bytearray(content)
    changed[at] ^= mask
    return f"byte {at} ^ {mask}", bytes(changed)


def cut(chosen: random.Random, content: bytes) -> tuple[str, bytes]:
    """The end gone, somewhere."""
    length = chosen.randrange(len(content))
    return f"cut to {length} bytes", content[:length]


def tried(name: str, samples: Sequence[Sample], count: int, damage: Damage, place: Path) -> Found:
    """Damage one of the files of one of the caches, and ask, so many times."""
    found = Found()
    concerned = [each for each in samples if getattr(each.files, PARTS[name]) is not None]
    before = 0.0
    for number in range(count):
        if number == min(WARM, count // 2):
            before = vitals(os.getpid()).megabytes
        chosen = random.Random(f"{name} {damage.__name__} {number}")
        which = chosen.randrange(len(concerned))
        sample = concerned[which]
        where, content = damage(chosen, getattr(sample.files, PARTS[name]))
        files = replace(sample.files, **{PARTS[name]: content})
        began = time.monotonic()
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        try:
            _judge(found, f"cache {which}, {where}", name, sample, files, place)
        finally:
            faulthandler.cancel_dump_traceback_later()
        found.slowest = max(found.slowest, time.monotonic() - began)
        found.done += 1
    found.growth = vitals(os.getpid()).megabytes - before
    return found


def _judge(found: Found, trial: str, name: str, sample: Sample, files: Files, place: Path) -> None:
    try:
        got = ask(files, place / "damaged", sample.names)
    except TOLD:
        found.told += 1
        return
    except Exception as error:
        found.wrong[trial] = repr(error)
        return
    allowed = sample.expected if name == LOG else sample.expected[-1:]
    differences = [got.differences(each) for each in reversed(allowed)]
    if [] not in differences:
        first = min(differences, key=len)[0]
        found.wrong[trial] = f"{first}: {got.values[first]!r:.200}"
    elif got.told:
        found.told += 1
    elif differences[0]:
        found.earlier += 1


def _row(
    what: str, name: str, samples: Sequence[Sample], count: int, damage: Damage, place: Path
) -> Row:
    clock = Clock()
    found = tried(name, samples, max(1, count), damage, place)
    harmless = found.done - found.told - found.earlier - len(found.wrong)
    figures = (
        f"{found.done:,}: {len(found.wrong)} wrong answers, {found.told:,} told, "
        f"{found.earlier:,} an earlier version, {harmless:,} harmless; slowest "
        f"{found.slowest:.2f} s, resident memory {found.growth:+.0f} MB"
    )
    shown = [f"{trial}: {reason}" for trial, reason in list(found.wrong.items())[:SHOWN]]
    return Row(
        f"{name}: {what}",
        "; ".join([figures, *shown]),
        f"{max(1, count):,}, 0 wrong answers or other errors, memory below +{GROWTH:.0f} MB",
        not found.wrong and found.growth < GROWTH,
        clock.seconds,
    )
