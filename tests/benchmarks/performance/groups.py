"""Groups that are made up, for the runner: they run in processes of their own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.performance.figures import Curve, Point
from benchmarks.performance.group import Group, Setting
from benchmarks.performance.results import Found
from benchmarks.performance.row import Row

FIRST = Row("first", "ms", "lower", "ratio >= 2")
SECOND = Row("second", "ms", "lower")
CURVE = Curve("ours", "open", (Point(10, 9.5, 1, 2),))


def _good(setting: Setting) -> Iterator[Found]:
    (setting.folder / "scratch").write_text("x")
    yield FIRST.measured([1.0], [3.0])
    yield CURVE
    yield SECOND.measured([float(len(setting.photographs))])


def _failing(setting: Setting) -> Iterator[Found]:
    yield FIRST.measured([1.0], [3.0])
    raise RuntimeError("the peer did not start")


def _slow(setting: Setting) -> Iterator[Found]:
    server = subprocess.Popen(["sleep", "60"])
    Path(setting.photographs[0].decode()).write_text(str(server.pid))
    yield FIRST.measured([1.0], [3.0])
    time.sleep(60)


GOOD = Group("good", 5, (FIRST, SECOND), _good)
FAILING = Group("failing", 5, (FIRST, SECOND), _failing)
SLOW = Group("slow", 5, (FIRST, SECOND), _slow)
