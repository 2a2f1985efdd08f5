"""200,000 operations on a cache, each compared with a plain NumPy model of one.

An operation is one call of a cache that changes it or asks it something, within a group or alone.
The examples are the same each time. The first difference ends the run: Hypothesis shows the
shortest way to it that it finds.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from benchmarks.torture.model.machine import Machine, Tally
from benchmarks.torture.row import Clock, Row

OPERATIONS = 200_000
EXAMPLES, STEPS = 10, 60
"""Of a slice, and of an example; a slice has a seed of its own."""
PHASES = (Phase.generate, Phase.shrink)


def run(effort: float, folder: Path) -> Sequence[Row]:
    """Operations until there are enough; the row."""
    clock, tally, wanted = Clock(), Tally(), max(1, round(OPERATIONS * effort))
    # Two threads only hold up operations that are as small as these.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        difference = _first_difference(wanted, folder, tally)
    finally:
        torch.set_num_threads(threads)
    if difference is not None:
        print(difference, file=sys.stderr)
    found = 0 if difference is None else 1
    return [
        Row(
            "a cache against a plain NumPy model",
            f"{tally.operations:,} operations, {found} differences",
            f"{wanted:,} operations, 0 differences",
            found == 0 and tally.operations >= wanted,
            clock.seconds,
        )
    ]


def _first_difference(wanted: int, folder: Path, tally: Tally) -> str | None:
    """What differs, and how to get there; None where nothing does."""
    for number in itertools.count():
        own = Tally()
        try:
            _slice(number, folder, own)
        except Exception as error:
            return "\n".join([*getattr(error, "__notes__", ()), f"{type(error).__name__}: {error}"])
        # Not those of a slice that failed: it was run again and again, to make it shorter.
        tally.operations += own.operations
        print(f"{tally.operations:,} operations", file=sys.stderr, flush=True)
        if tally.operations >= wanted:
            return None
    raise AssertionError("counting ends nowhere")


def _slice(number: int, folder: Path, tally: Tally) -> None:
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        database=None,
        deadline=None,
        phases=PHASES,
        verbosity=Verbosity.normal,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )

    class Placed(Machine):
        def __init__(self) -> None:
            super().__init__(folder, tally)

    run_state_machine_as_test(seed(number)(Placed), settings=chosen)
