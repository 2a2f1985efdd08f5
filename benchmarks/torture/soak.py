"""Mixed load on one service for half an hour: does anything grow that should not?

The cache keeps its size: each caller forgets as many shots as it teaches. The first sixth of the
time is the warm-up; the sixth after it is compared with the last.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.torture.fleet import SHIPPED, fleet
from benchmarks.torture.mixture import Mixture
from benchmarks.torture.row import Clock, Row
from benchmarks.torture.vitals import Vitals, change, watch

SECONDS = 1800.0
CALLERS = 4
PAUSE = 0.15
"""Seconds that each caller rests after a request: about 20 requests a second in all."""

SAMPLES = 1800
GROWTH = 2.0
"""Per cent of resident memory."""

SPREAD = 2
"""Descriptors, or threads, more than before that are none too many: one request's."""

PLOT = Path(__file__).resolve().parents[2] / "docs" / "images" / "soak.png"


def run(effort: float, folder: Path) -> Sequence[Row]:
    """Half an hour of load; rows of memory, descriptors, threads, versions and answers."""
    clock = Clock()
    seconds = SECONDS * effort
    over = threading.Event()
    with fleet(1, folder, SHIPPED) as (address,), ThreadPoolExecutor(CALLERS) as threads:
        mixtures = [Mixture(address.url, number) for number in range(CALLERS)]
        under_way = [threads.submit(each.go, over, PAUSE * min(1, effort)) for each in mixtures]
        try:
            samples = watch(address.pid, seconds, seconds / SAMPLES)
        finally:
            over.set()
        for each in under_way:
            each.result()
    if effort >= 1:
        plot(samples, PLOT)
    return [*_growth(samples, clock), *_answers(mixtures, clock)]


def _growth(samples: Sequence[Vitals], clock: Clock) -> list[Row]:
    early, late = change(samples, lambda each: each.megabytes)
    growth = 100 * (late - early) / early
    rows = [
        Row(
            "soak: growth of resident memory",
            f"{growth:+.2f} % (from {early:.1f} MB to {late:.1f} MB)",
            f"under {GROWTH:g} %, after a warm-up of a sixth of the time",
            growth < GROWTH,
            clock.seconds,
        )
    ]
    for name, pick in (
        ("descriptors", lambda each: each.descriptors),
        ("threads", lambda each: each.threads),
    ):
        early, late = change(samples, pick)
        figure = f"from {early:g} to {late:g}"
        rows.append(Row(f"soak: {name}", figure, "flat", late <= early + SPREAD, clock.seconds))
    return rows


def _answers(mixtures: Sequence[Mixture], clock: Clock) -> list[Row]:
    versions = sorted(version for each in mixtures for version in each.versions)
    gaps = sum(after != before + 1 for before, after in itertools.pairwise(versions))
    requests = sum(each.requests for each in mixtures)
    wrong = [said for each in mixtures for said in each.wrong]
    return [
        Row(
            "soak: versions",
            f"{len(versions):,} changes, {gaps} gaps or repeats",
            "consecutive",
            gaps == 0 and bool(versions),
            clock.seconds,
        ),
        Row(
            "soak: answers",
            "; ".join([f"{requests:,} requests, {len(wrong)} answers not as expected", *wrong[:3]]),
            "all as expected",
            not wrong,
            clock.seconds,
        ),
    ]


def plot(samples: Sequence[Vitals], path: Path) -> None:
    """Draw memory, descriptors and threads over the time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    memory, counts = figure.subplots(2, 1, sharex=True)
    minutes = [each.seconds / 60 for each in samples]
    memory.plot(minutes, [each.megabytes for each in samples], color="tab:blue")
    memory.set_ylabel("resident memory, MB")
    memory.set_ylim(bottom=0)
    for name, values in (
        ("descriptors", [each.descriptors for each in samples]),
        ("threads", [each.threads for each in samples]),
    ):
        counts.plot(minutes, values, label=name)
    counts.set_ylim(bottom=0)
    counts.set_xlabel("minutes")
    counts.legend()
    for axes in (memory, counts):
        axes.axvspan(0, minutes[-1] / 6, color="0.92")
    figure.savefig(path, dpi=120)
