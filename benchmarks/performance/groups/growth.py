"""What a cache costs as it grows: adds and memory."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.performance.group import Group, Setting
from benchmarks.performance.growth import ADDS, LARGE, SMALL, add_costs, memory_per_shot
from benchmarks.performance.results import Found
from benchmarks.performance.row import Row

IN_MEMORY = Row(
    "growth: an add in memory, at 100,000 shots against 1,000", "ms", "lower", "ratio <= 1"
)
WHOLE = Row("growth: the same with its commit to disk", "ms", "lower", "ratio <= 1")
FIRST = Row(
    "growth: the first answer after an add, against the same once more, 100,000 shots",
    "ms",
    "lower",
)
UNTRAINED = Row("growth: memory a shot, 512 numbers wide", "kB", "lower", "ours <= 3")
MOVED = Row("growth: the same, under an adapter that moves image keys", "kB", "lower", "ours <= 3")
PEAK = Row("growth: the same, at most while numbers are fitted", "kB", "lower")


def measure(setting: Setting) -> Iterator[Found]:
    """Adds in this process, by turns; memory of services."""
    sizes = (200, 2_000, 100) if setting.quick else (SMALL, LARGE, ADDS)
    small, large = add_costs(setting.folder, *sizes)
    note = f"means of blocks of adds, {sizes[2]:,} in all"
    yield IN_MEMORY.measured(large.memory, small.memory, note)
    ours, theirs = (
        [sum(pair) for pair in zip(costs.commit, costs.memory, strict=True)]
        for costs in (large, small)
    )
    yield WHOLE.measured(ours, theirs, note)
    yield FIRST.measured(large.first, large.again, "what an add leaves to the next answer")
    if setting.quick:
        yield from (row.not_run("too long for --quick") for row in (UNTRAINED, MOVED, PEAK))
        return
    memory = memory_per_shot(setting.folder)
    note = f"{LARGE:,} shots, beyond the same service without them"
    yield UNTRAINED.measured([memory.untrained], note=note)
    yield MOVED.measured([memory.moved], note=note)
    yield PEAK.measured([memory.peak], note=note)


GROUP = Group("growth", 80, (IN_MEMORY, WHOLE, FIRST, UNTRAINED, MOVED, PEAK), measure)
