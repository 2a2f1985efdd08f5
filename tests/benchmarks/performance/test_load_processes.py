"""Processor time of a process and of those it has started."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.performance.load_processes import family, processor_seconds

BUSY = "import time\nwhile time.process_time() < 0.3: pass"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {BUSY!r} + "\\nprint(flush=True)\\ninput()"])
child.wait()
"""


def test_the_time_of_a_child_counts() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdout.readline()
        found = family(parent.pid)
        assert len(found) == 2
        assert found[0] == parent.pid
        assert processor_seconds(found) - processor_seconds([parent.pid]) >= 0.29
        parent.stdin.write("\n")
        parent.stdin.close()
    assert processor_seconds([parent.pid]) == 0
