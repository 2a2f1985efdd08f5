"""kill -9 of a whole service under load, again and again, and of trainings beside it.

Several callers add, relabel, forget, make and delete classes, and roll back, until the service is
gone. It is started again, and all that it holds is compared with what it had acknowledged (see
`benchmarks.torture.history`). Then each add that was cut off is sent again under its idempotency
key: it must be there once.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.torture.board import Board
from benchmarks.torture.callers import Caller
from benchmarks.torture.history import Acknowledged, History, Operation
from benchmarks.torture.observing import Observed, observe, unserved
from benchmarks.torture.pictures import picture
from benchmarks.torture.row import Clock, Row
from benchmarks.torture.sent import Lesson, Sent, teach
from benchmarks.torture.trainings import Trainings
from service.client import Client, ServiceError
from tests.e2e.process import PIXELS, Process, running

KILLS = 60
CALLERS = 5
LONGEST = 1.5
"""Seconds of load until the kill, at most."""

WHILE_STARTING = 6
"""One kill in so many comes before the service is ready."""

STARTING = 3.0
"""Seconds after a start, at most, of such a kill."""

SAMPLE = 8
"""Shots of which an answer is asked after each start."""

SHOWN = 3


@dataclass
class Findings:
    """What the comparisons found, counted.

    Attributes:
        kills: of the service.
        acknowledged, cut_off, refused, rollbacks: requests; see `Sent`.
        lost: shots and classes of acknowledged changes that are not there, or otherwise.
        doubled: shots that are there once more than they should.
        half_done: what else is there that no order of the requests explains.
        notes: for a person: what was wrong.
    """

    kills: int = 0
    acknowledged: int = 0
    cut_off: int = 0
    refused: int = 0
    rollbacks: int = 0
    lost: int = 0
    doubled: int = 0
    half_done: int = 0
    notes: list[str] = field(default_factory=list)


def run(effort: float, folder: Path) -> Sequence[Row]:
    """Kills of one service and its trainings; rows of what was lost, doubled and half done."""
    kills = max(1, round(KILLS * effort))
    clock = Clock()
    trial = Trial(folder)
    try:
        for number in range(kills):
            trial.round(number)
        trial.last()
    finally:
        trial.trainings.end()
    return _rows(trial, kills, clock.seconds)


class Trial:
    """One cache through many services.

    Attributes:
        found: until now.
        trainings: beside them.
    """

    def __init__(self, folder: Path) -> None:
        self.found = Findings()
        self.trainings = Trainings(folder / "cache")
        self._folder = folder
        self._history = History()
        self._random = random.Random(0)
        self._board = Board()
        self._sent = Sent()

    def round(self, number: int) -> None:
        """Start, compare, load, kill; in some rounds kill while it starts."""
        with self._service() as process:
            if number % WHILE_STARTING == WHILE_STARTING - 1:
                time.sleep(self._random.uniform(0, STARTING))
                process.signal(signal.SIGKILL)
            else:
                with process.ready() as client:
                    self._compare(client)
                self._load(number, process)
            code = process.wait()
        self.found.kills += code == -signal.SIGKILL
        if code != -signal.SIGKILL:
            self.found.notes.append(f"it ended with {code}: {''.join(process.logged[-20:])}")

    def last(self) -> None:
        """Start once more, and compare."""
        with self._service() as process, process.ready() as client:
            self._compare(client)

    def _service(self) -> AbstractContextManager[Process]:
        return running(*PIXELS, cwd=self._folder, cache=self._folder / "cache")

    def _load(self, number: int, process: Process) -> None:
        """Callers at work until the service is killed under them."""
        self._board.reset(self._history.state, self._history.past)
        names = [f"{number} {each}" for each in range(CALLERS)]
        callers = [Caller(process.url, self._board, name) for name in names]
        with ThreadPoolExecutor(CALLERS) as threads:
            under_way = [threads.submit(caller.go) for caller in callers]
            self.trainings.tend(self._random)
            time.sleep(self._random.uniform(0.05, LONGEST))
            process.signal(signal.SIGKILL)
            self._sent = Sent.together(each.result() for each in under_way)

    def _compare(self, client: Client) -> None:
        """Hold what is there against what was acknowledged; then send again what was cut off."""
        sent, self._sent = self._sent, Sent()
        found = self.found
        found.acknowledged += len(sent.acknowledged)
        found.cut_off += len(sent.cut_off)
        found.refused += sent.refused
        found.rollbacks += sent.rollbacks
        found.notes += sent.troubles
        self._explain(observe(client), sent.acknowledged, sent.cut_off)
        for lesson in sent.lessons:
            self._again(client, lesson)
        state = self._history.state
        images = self._random.sample(sorted(state.shots), min(SAMPLE, len(state.shots)))
        pictures = [(image, picture(self._board.number_of(image))) for image in images]
        wrong = unserved(client, state, pictures)
        found.half_done += len(wrong)
        found.notes += wrong

    def _again(self, client: Client, lesson: Lesson) -> None:
        """Send an add twice more: both answers are one, and what it teaches is there once."""
        try:
            first, second = teach(client, lesson), teach(client, lesson)
        except ServiceError as error:
            if error.status != 409:
                self.found.notes.append(str(error))
            return
        if (first.shot_ids, first.cache_version) != (second.shot_ids, second.cache_version):
            self.found.doubled += 1
            self.found.notes.append(f"key {lesson.key!r}: got {first}, then {second}")
        fresh = first.cache_version > self._history.version
        made = Acknowledged(lesson.operation(first.shot_ids), first.cache_version)
        self._explain(observe(client), [made] if fresh else [], [])

    def _explain(
        self,
        observed: Observed,
        acknowledged: Sequence[Acknowledged],
        cut_off: Sequence[Operation],
    ) -> None:
        expected = self._history.without_cut_off(acknowledged)
        found = self.found
        found.doubled += observed.doubled
        if self._history.extend(acknowledged, cut_off, observed.version, observed.state):
            return
        lost = expected.differences(observed.state)
        found.lost += lost
        found.half_done += max(observed.state.differences(expected), not lost)
        found.notes.append(
            f"version {observed.version}: {len(acknowledged)} acknowledged changes and "
            f"{len(cut_off)} that were cut off do not explain what is there: {self._history.stuck}"
        )


def _rows(trial: Trial, kills: int, seconds: float) -> list[Row]:
    found, trainings = trial.found, trial.trainings
    load = (
        f"{found.kills} kills; {found.acknowledged:,} changes acknowledged ({found.rollbacks:,} "
        f"rollbacks), {found.refused:,} refused, {found.cut_off:,} cut off"
    )
    ended = f"{trainings.finished} finished, {trainings.killed} killed, {trainings.refused} refused"
    clean = found.kills == kills and not found.notes
    counts = {"lost": found.lost, "doubled": found.doubled, "half done": found.half_done}
    return [
        Row(
            "kill -9 of the service",
            "; ".join([load, *found.notes[:SHOWN]]),
            f"{kills} kills, and no answer that should not be",
            clean,
            seconds,
        ),
        *(
            Row(f"kill -9 of the service: {name}", str(count), "0", count == 0, seconds)
            for name, count in counts.items()
        ),
        Row(
            "kill -9 of trainings",
            "; ".join([ended, *trainings.broken[:SHOWN]]),
            "each finishes, or leaves no trace",
            not trainings.broken,
            seconds,
        ),
    ]
