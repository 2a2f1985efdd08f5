"""Read your own write: several services on one cache, written through one, asked through another.

Each round adds a shot through one process, and classifies its picture through another: the answer
must be of no earlier a version than the add's, and show the shot. In one round of ten the shot is
also relabelled and forgotten, and each time another process is asked.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks.torture.fleet import fleet
from benchmarks.torture.pictures import picture
from benchmarks.torture.row import Clock, Row
from benchmarks.torture.tally import Tally
from service.client import Client, ClientError

ROUNDS = 10_000
PROCESSES = 4
CALLERS = 8
KEPT = 20
"""Shots that each caller leaves in the cache, so that an answer has others to show."""

EXPLAIN = 5
PART = 10


def run(effort: float, folder: Path) -> Sequence[Row]:
    """Rounds on four processes. The two rows: of adds, and of relabels and forgets."""
    rounds = max(CALLERS, round(ROUNDS * effort))
    clock = Clock()
    added, changed = Tally(), Tally()
    with (
        fleet(PROCESSES, folder) as addresses,
        ExitStack() as held,
        ThreadPoolExecutor(CALLERS) as threads,
    ):
        clients = [held.enter_context(Client(each.url)) for each in addresses]
        callers = [Caller(number, clients, added, changed) for number in range(CALLERS)]
        shares = [range(number, rounds, CALLERS) for number in range(CALLERS)]
        list(threads.map(Caller.go, callers, shares))
    return [
        _row("read your own write: an add", added, rounds, clock),
        _row("read your own write: a relabel, a forget", changed, changed.right, clock),
    ]


class Caller:
    """One that writes through one process and reads through another."""

    def __init__(
        self, number: int, clients: Sequence[Client], added: Tally, changed: Tally
    ) -> None:
        self._random = random.Random(number)
        self._label = f"class {number}"
        self._clients = clients
        self._added = added
        self._changed = changed
        self._kept: deque[tuple[int, str]] = deque()

    def go(self, rounds: Sequence[int]) -> None:
        """Do the rounds of these numbers, each a picture of its own."""
        for number in rounds:
            try:
                self._round(number)
            except ClientError as error:
                self._added.check(False, f"picture {number}: {error}")

    def _round(self, number: int) -> None:
        writer, reader = self._two()
        added = writer.add(self._label, [picture(number)])
        (shot_id,) = added.shot_ids
        wanted = (shot_id, self._label)
        self._read(self._added, reader, number, added.cache_version, wanted)
        self._kept.append((number, shot_id))
        if len(self._kept) <= KEPT:
            return
        number, shot_id = self._kept.popleft()
        if self._random.randrange(PART):
            writer.forget(shot_id)
        else:
            self._change(number, shot_id)

    def _change(self, number: int, shot_id: str) -> None:
        writer, reader = self._two()
        label = f"{self._label} again"
        version = writer.relabel(shot_id, label).cache_version
        self._read(self._changed, reader, number, version, (shot_id, label))
        writer, reader = self._two()
        version = writer.forget(shot_id).cache_version
        self._read(self._changed, reader, number, version, None, gone=shot_id)

    def _two(self) -> tuple[Client, Client]:
        writer, reader = self._random.sample(self._clients, 2)
        return writer, reader

    def _read(
        self,
        tally: Tally,
        reader: Client,
        number: int,
        version: int,
        wanted: tuple[str, str] | None,
        gone: str | None = None,
    ) -> None:
        """Check that a classify shows this shot under this label, or does not show one."""
        answer = reader.classify(picture(number), explain=EXPLAIN)
        shown = {(each.shot_id, each.label) for each in answer.neighbors}
        ids = {shot_id for shot_id, _ in shown}
        right = answer.cache_version >= version
        right &= gone not in ids if wanted is None else wanted in shown
        tally.check(
            right,
            f"picture {number}: expected {wanted or f'no {gone}'} at version {version} or later, "
            f"got {sorted(shown)} at {answer.cache_version}",
        )


def _row(name: str, tally: Tally, expected: int, clock: Clock) -> Row:
    reached = tally.wrong == 0 and tally.right == expected > 0
    goal = f"all, with {PROCESSES} processes on one cache"
    return Row(name, tally.figure(), goal, reached, clock.seconds)
