"""Processor time of a process and all below it. Linux only."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

PARENT, USER, SYSTEM = 1, 11, 12
"""Places in /proc/PID/stat, counted after the name in brackets."""


def family(pid: int) -> list[int]:
    """A process and all below it, now."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _fields(int(folder.name))):
            children[int(fields[PARENT])].append(int(folder.name))
    found = [pid]
    for each in found:
        found.extend(children[each])
    return found


def processor_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes until now; of one that has ended, none."""
    ticks = 0
    for pid in pids:
        if fields := _fields(pid):
            ticks += int(fields[USER]) + int(fields[SYSTEM])
    return ticks / os.sysconf("SC_CLK_TCK")


def _fields(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    # The name may hold spaces and brackets.
    return text.rpartition(")")[2].split()
