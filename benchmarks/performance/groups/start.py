"""From a process's start to its first answer, and the command line's own start."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.performance.group import Group, Setting
from benchmarks.performance.growth import LARGE, help_seconds, start_seconds
from benchmarks.performance.results import Found
from benchmarks.performance.row import Row

BEYOND = Row(
    "start: to ready with 100,000 shots, beyond loading torch and the model",
    "s",
    "lower",
    "ours <= 5",
)
WHOLE = Row("start: the same in all, against an empty cache", "s", "lower")
HELP = Row("start: xmadapter --help", "s", "lower", "ours <= 0.5")
COMMANDS = Row("start: --help of the slowest command", "s", "lower", "ours <= 0.5")


def measure(setting: Setting) -> Iterator[Found]:
    """The command line first: it is quick."""
    found = help_seconds(1 if setting.quick else 5)
    slowest = max(found, key=lambda name: sorted(found[name])[len(found[name]) // 2])
    yield HELP.measured(found["xmadapter"])
    yield COMMANDS.measured(found[slowest], note=slowest)
    shots, runs = (200, 1) if setting.quick else (LARGE, 2)
    starts = start_seconds(setting.folder, shots, runs)
    note = "after a first start, which keeps what later ones read"
    yield BEYOND.measured(starts.beyond, note=note)
    yield WHOLE.measured(starts.full, starts.empty, note)


GROUP = Group("start", 65, (BEYOND, WHOLE, HELP, COMMANDS), measure)
