"""kill -9 of processes that change a cache, again and again, at random moments.

They hold store and indices with a tower of features that cost nothing, alone on a cache or two at
once, and are killed from the first millisecond of opening or making it on. The cache is opened
again after each kill, read whole, and held against what was acknowledged (see
`benchmarks.torture.account`). A killed process loses nothing that it had handed to the system:
what a loss of power takes is tried in `benchmarks.torture.torn`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.torture.account import Account, Tally, units_of
from benchmarks.torture.flips import in_memory
from benchmarks.torture.pupil import work
from benchmarks.torture.readings import ENCODER
from benchmarks.torture.row import Clock, Row
from indexer.cache import Cache
from indexer.store import Store

KILLS = 950
A_CACHE = 20
"""Kills that one cache goes through."""

ON_DISK = 4
"""One cache of so many is on the disk."""

MAKING = 4
"""The first of these, while it may still be in the making."""

OPENING, WORKING = 0.1, 0.4
"""Seconds until a kill, at most: from the start where it is to come early, else from when the cache
is open."""

PATIENCE = 20.0
"""Seconds for the opening."""

EARLY = 0.2
TWO = 0.3
"""Shares of the kills that come early, and of those of two processes at once."""

SHOWN = 3


def run(effort: float, folder: Path) -> Sequence[Row]:
    """Kill in a process that does nothing else, so that it may fork; the rows."""
    kills = max(4, round(KILLS * effort))
    clock = Clock()
    command = [sys.executable, "-m", "benchmarks.torture.kills", str(kills), str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, cwd=Path.cwd()
    )
    return rows(Tally(**json.loads(ended.stdout)), kills, clock.seconds)


def rows(tally: Tally, kills: int, seconds: float) -> list[Row]:
    """A row for the kills, and for each of what they must not do."""
    done = (
        f"{kills} kills; {tally.acknowledged:,} changes acknowledged and "
        f"{tally.cut_off:,} cut off, {tally.groups:,} of them groups"
    )
    counts = {"lost": tally.lost, "doubled": tally.doubled, "half done": tally.half_done}
    return [
        Row(
            "kill -9 of processes on a cache",
            "; ".join([done, *tally.notes[:SHOWN]]),
            f"{kills} kills, and nothing that should not be",
            not tally.notes,
            seconds,
        ),
        *(
            Row(f"kill -9 of processes on a cache: {name}", str(count), "0", not count, seconds)
            for name, count in counts.items()
        ),
    ]


def trials(kills: int, folder: Path, memory: Path) -> Tally:
    """So many kills, on one cache after the other: on disk, or in memory, which is quicker."""
    Cache.open(folder / "warm", ENCODER).close()
    tally = Tally()
    account = Account(tally)
    for number in range(kills):
        if number % A_CACHE == 0:
            account = Account(tally)
        where = folder if number // A_CACHE % ON_DISK == 0 else memory
        place = where / f"cache {number // A_CACHE}"
        try:
            _trial(account, number, place, random.Random(number))
        except Exception as error:
            tally.wrong("lost", f"kill {number}: {error!r}")
            account = Account(tally)
    return tally


def _trial(account: Account, number: int, place: Path, chosen: random.Random) -> None:
    names = [f"{number}a", f"{number}b"][: 1 + (chosen.random() < TWO)]
    notes = [place.parent / f"notes {name}" for name in names]
    children = [
        _fork(place, note, name, alone=len(names) == 1)
        for note, name in zip(notes, names, strict=True)
    ]
    early = number % A_CACHE < MAKING or chosen.random() < EARLY
    if not early:
        _await(notes)
    time.sleep(chosen.uniform(0, OPENING if early else WORKING))
    for child in children:
        os.kill(child, signal.SIGKILL)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    units = units_of(notes)
    if any(end != -signal.SIGKILL for end in ends):
        troubles = [note.with_suffix(".txt") for note in notes]
        said = [each.read_text()[-500:] for each in troubles if each.exists()]
        account.tally.wrong("half_done", f"kill {number}: a process ended by itself: {said}")
    if not Store.exists(place):
        done = sum(unit.version is not None for unit in units)
        account.tally.wrong("lost", f"kill {number}: the whole cache", done)
        return
    with Cache.open(place, ENCODER, create=False) as cache:
        account.settle(cache, units)


def _await(notes: Sequence[Path]) -> None:
    """Until each process has opened the cache."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and not all(
        each.exists() and each.stat().st_size for each in notes
    ):
        time.sleep(0.002)


def _fork(place: Path, notes: Path, name: str, alone: bool) -> int:
    """A process of its own that changes the cache; its id."""
    child = os.fork()
    if child:
        return child
    try:
        work(place, notes, name, alone)
    except BaseException:
        notes.with_suffix(".txt").write_text(traceback.format_exc())
    os._exit(1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    place = Path(sys.argv[2])
    with in_memory(place) as memory:
        print(json.dumps(asdict(trials(int(sys.argv[1]), place, memory))))
