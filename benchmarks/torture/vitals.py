"""What a process holds at a moment: memory, descriptors, threads. Linux only."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Vitals:
    """One sample.

    Attributes:
        seconds: since the first sample.
        megabytes: resident memory, in MB.
        descriptors: open ones.
        threads: that there are.
    """

    seconds: float
    megabytes: float
    descriptors: int
    threads: int


def vitals(pid: int, seconds: float = 0.0) -> Vitals:
    """Of the process `pid`, now. Raises OSError where there is none."""
    folder = Path(f"/proc/{pid}")
    lines = (folder / "status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return Vitals(
        seconds=seconds,
        megabytes=int(status["VmRSS"].split()[0]) / 1024,
        descriptors=sum(1 for _ in (folder / "fd").iterdir()),
        threads=int(status["Threads"]),
    )


def watch(pid: int, seconds: float, pause: float) -> list[Vitals]:
    """Samples of `seconds`, one every `pause`."""
    began = time.monotonic()
    samples = []
    while (now := time.monotonic() - began) < seconds:
        samples.append(vitals(pid, now))
        time.sleep(pause)
    return samples


def change(samples: Sequence[Vitals], value: Callable[[Vitals], float]) -> tuple[float, float]:
    """How a value was after the warm-up, and at the end: medians, each over a sixth of the time.

    The first sixth of the time is the warm-up, and is left out.
    """
    sixth = samples[-1].seconds / 6
    early = [value(each) for each in samples if sixth <= each.seconds < 2 * sixth]
    late = [value(each) for each in samples if each.seconds >= 5 * sixth]
    return median(early), median(late)
