"""A write-ahead log that ends anywhere, as after a loss of power.

Every prefix of a log must open to the last change that it holds whole. What lies behind the last
sync may have reached the disk in any order, or not at all: there, too, a cache opens to the last
change before the first frame that is not as it was written. And what was acknowledged once is in
the files from then on, also while the log is folded into the main file and begun anew.
"""

from __future__ import annotations

import contextlib
import random
import shutil
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.torture.flips import in_memory
from benchmarks.torture.lessons import Files, Lesson, ask
from benchmarks.torture.readings import ALL, Names, Readings
from benchmarks.torture.row import Clock, Row
from indexer.store import Store

HEADER = 32
FRAME = 24 + 4096
SHORT_STEPS = 1
LONG_STEPS = 40
LENGTHS = 4_000
"""Random ones of the long log."""

TAILS = 2_000
FOLDED = 400
PAGES = 12
"""In the log, before it is folded into the main file, where that is tried."""

SHOWN = 3


@dataclass
class Found:
    """What came of some trials: how many, and what was wrong."""

    done: int = 0
    wrong: list[str] = field(default_factory=list)

    def row(self, name: str, goal: str, clock: Clock) -> Row:
        """As a row; all must be right."""
        figure = "; ".join([f"{self.done:,}, {len(self.wrong)} wrong", *self.wrong[:SHOWN]])
        return Row(name, figure, goal, self.done > 0 and not self.wrong, clock.seconds)


@dataclass(frozen=True)
class Log:
    """A log that was never folded.

    Attributes:
        files: with all of it.
        lengths: of it, in bytes, when each change had been acknowledged.
        names: what to ask.
        moments: the files, then.
    """

    files: Files
    lengths: Sequence[int]
    names: Names
    moments: Sequence[Files]

    @property
    def content(self) -> bytes:
        """All of it."""
        return self.files.log or b""

    def cut(self, length: int) -> Files:
        """As if no more had reached the disk."""
        return replace(self.files, log=self.content[:length], map=None)

    def last_whole(self, length: int) -> int:
        """The number of the last change that a prefix holds."""
        return max(0, bisect_right(self.lengths, length) - 1)


def run(effort: float, folder: Path) -> Sequence[Row]:
    """Cut, spoil and fold logs; the rows."""
    with in_memory(folder) as place:
        short, long = _taught(place, SHORT_STEPS), _taught(place, LONG_STEPS)
        return [
            _every_length(short, effort, place),
            _some_lengths(long, effort, place),
            _spoilt_tails(long, effort, place),
            _folded(effort, place),
        ]


def _taught(place: Path, steps: int) -> Log:
    """A cache that learns, and its files after each step."""
    lesson = Lesson.begin(place / "taught")
    moments = [Files.of(lesson.folder)]
    for step in range(steps):
        lesson.learn(step)
        moments.append(Files.of(lesson.folder))
    lesson.cache.close()
    shutil.rmtree(lesson.folder)
    lengths = [len(each.log or b"") for each in moments]
    return Log(moments[-1], lengths, lesson.names, moments)


def _every_length(log: Log, effort: float, place: Path) -> Row:
    clock, found = Clock(), Found()
    expected = [_held(files, place) for files in log.moments]
    begin, end = log.lengths[0], len(log.content)
    step = max(1, round(1 / effort))
    for length in sorted({*range(begin, end + 1, step), *log.lengths}):
        number = log.last_whole(length)
        _judge(
            found,
            f"{length} bytes",
            lambda cut: _held(cut, place),
            log.cut(length),
            expected[number],
        )
    goal = f"each of {(end - begin) // step:,} lengths opens to the last whole change"
    return found.row("every prefix of a short log", goal, clock)


def _some_lengths(log: Log, effort: float, place: Path) -> Row:
    clock, found, chosen = Clock(), Found(), random.Random(0)
    expected = _Expected(log, place)
    end = len(log.content)
    frames = range(HEADER, end + 1, max(1, round(1 / effort)) * FRAME)
    edges = [edge + by for edge in frames for by in (-1, 0, 1) if edge + by <= end]
    others = [chosen.randrange(end + 1) for _ in range(max(1, round(LENGTHS * effort)))]
    for length in [*edges, *others]:
        _ask(
            found, f"{length} bytes", log.cut(length), expected[log.last_whole(length)], log, place
        )
    goal = f"{len(edges) + len(others):,} lengths open to the last whole change"
    return found.row("prefixes of a long log", goal, clock)


def _spoilt_tails(log: Log, effort: float, place: Path) -> Row:
    clock, found = Clock(), Found()
    expected = _Expected(log, place)
    for number in range(max(1, round(TAILS * effort))):
        chosen = random.Random(number)
        synced = chosen.choice(log.lengths[:-1])
        content, sound = spoilt(log.content, synced, chosen)
        files = replace(log.files, log=content, map=None)
        _ask(found, f"tail {number}", files, expected[log.last_whole(sound)], log, place)
    goal = f"{found.done:,} with frames zeroed, swapped or torn behind a sync: no more is gone"
    return found.row("tails of a log in another order", goal, clock)


def _folded(effort: float, place: Path) -> Row:
    """The files as of each acknowledged change, while the log is folded again and again."""
    clock, found = Clock(), Found()
    lesson = Lesson.begin(place / "taught")
    lesson.cache._store._database.maintain(f"PRAGMA wal_autocheckpoint = {PAGES}")
    for step in range(max(8, round(FOLDED * effort))):
        lesson.learn(step)
        now = _state(lesson.cache._store)
        _judge(
            found, f"step {step}", lambda files: _held(files, place), Files.of(lesson.folder), now
        )
    lesson.cache.close()
    shutil.rmtree(lesson.folder)
    goal = "the files, as of each acknowledged change, hold it"
    return found.row("copies while the log is folded", goal, clock)


def spoilt(content: bytes, synced: int, chosen: random.Random) -> tuple[bytes, int]:
    """A log of which what was written after a sync did not all arrive; how much of it is sound."""
    frames = [content[at : at + FRAME] for at in range(max(synced, HEADER), len(content), FRAME)]
    whole = list(frames)
    for _ in range(chosen.randint(1, 4)):
        one, other = chosen.randrange(len(frames)), chosen.randrange(len(frames))
        how = chosen.choice(("zeroed", "swapped", "torn"))
        if how == "zeroed":
            frames[one] = bytes(FRAME)
        elif how == "swapped":
            frames[one], frames[other] = frames[other], frames[one]
        else:
            kept = 512 * chosen.randrange(FRAME // 512 + 1)
            frames[one] = frames[one][:kept] + bytes(FRAME - kept)
    first = next((at for at, frame in enumerate(frames) if frame != whole[at]), len(frames))
    start = max(synced, HEADER)
    return content[:start] + b"".join(frames), start + first * FRAME


class _Expected:
    """What a cache says at each moment of a log; asked when it is needed."""

    def __init__(self, log: Log, place: Path) -> None:
        self._log, self._place = log, place
        self._known: dict[int, Readings] = {}

    def __getitem__(self, number: int) -> Readings:
        if number not in self._known:
            files = self._log.moments[number]
            self._known[number] = ask(files, self._place / "expected", self._log.names)
        return self._known[number]


def _ask(found: Found, trial: str, files: Files, expected: Readings, log: Log, place: Path) -> None:
    def everything(files: Files) -> object:
        got = ask(files, place / "torn", log.names)
        return [*got.told, *got.differences(expected)]

    _judge(found, trial, everything, files, [])


def _judge(
    found: Found, trial: str, read: Callable[[Files], object], files: Files, expected: object
) -> None:
    found.done += 1
    try:
        got = read(files)
    except Exception as error:
        found.wrong.append(f"{trial}: {error!r}")
        return
    if got != expected:
        found.wrong.append(f"{trial}: {got!r:.200}")


def _held(files: Files, place: Path) -> object:
    """What the store alone says of these files: quicker than a whole cache."""
    with _placed(files, place / "held") as folder, contextlib.closing(Store(folder)) as store:
        store.check()
        return _state(store)


def _state(store: Store) -> object:
    rows = store.rows()
    shots = store.shots(None, ALL, None).items
    return rows.version, store.classes(ALL, None).items, shots, rows.shots.keys.tobytes()


@contextlib.contextmanager
def _placed(files: Files, folder: Path) -> Iterator[Path]:
    folder.mkdir()
    try:
        files.put(folder)
        yield folder
    finally:
        shutil.rmtree(folder)
