"""Decoding mutated images in a process of its own, which may crash or hang, and is then replaced.

The process says in shared memory which image it is at. If it ends, or stays at one for too long,
that image is to blame; the next process goes on behind it.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.context import SpawnProcess
from pathlib import Path

from benchmarks.torture.mutation import mutated

HANG_SECONDS = 20.0
START_SECONDS = 120.0
POLL_SECONDS = 0.1
NOTE_EVERY = 50
Attempt = Callable[[bytes], bool]
"""Whether the bytes give an image; raises only what must not happen."""

Numbers = ctypes.Array[ctypes.c_longlong]
SPAWN = multiprocessing.get_context("spawn")

AT, BEGAN, STARTED_KB, PEAK_KB, IMAGES, REFUSED, STRAYS, SLOWEST_US, SLOWEST = range(9)
"""Places in the shared memory; `BEGAN` is in microseconds of the system's monotonic clock."""

NOTHING_YET = -1


@dataclass
class Outcome:
    """What became of the images, added up.

    Attributes:
        images: that were decoded.
        refused: those that gave an ImageError.
        strays: numbers of those that gave another one.
        crashes: numbers of those that ended the process.
        hangs: numbers of those that took too long.
        growth: the most by which a process's resident memory grew, in MB.
        slowest: seconds that the slowest took, and its number.
    """

    images: int = 0
    refused: int = 0
    strays: list[int] = field(default_factory=list)
    crashes: list[int] = field(default_factory=list)
    hangs: list[int] = field(default_factory=list)
    growth: float = 0.0
    slowest: tuple[float, int] = (0.0, 0)

    @property
    def done(self) -> int:
        """How many images were tried."""
        return self.images + self.refused + sum(map(len, (self.strays, self.crashes, self.hangs)))


def shot() -> Attempt:
    """What the service does with an image that it is taught."""
    import torch

    from adapter.encoder import Preprocessing
    from adapter.images import ImageError, ImageLimits
    from service.images import Preparation

    torch.set_num_threads(1)
    half = (0.5, 0.5, 0.5)
    preparation = Preparation(Preprocessing((224, 224), half, half), 512, ImageLimits())

    def attempt(data: bytes) -> bool:
        try:
            prepared = preparation.shot(data)
        except ImageError:
            return False
        assert prepared.pixels is not None
        assert prepared.pixels.shape == (1, 3, 224, 224)
        assert prepared.thumbnail
        return True

    return attempt


def decode(
    seeds: Sequence[bytes],
    count: int,
    processes: int,
    *,
    make: Callable[[], Attempt] = shot,
    hang: float = HANG_SECONDS,
) -> Outcome:
    """Decode the mutations 0 to `count` in so many processes.

    Args:
        seeds: what is mutated; the first is decoded before memory is measured.
        count: of mutations.
        processes: at once.
        make: gives what is tried with each, in the process; a module's own function.
        hang: seconds for one image.
    """
    outcome = Outcome()
    lanes = [_Lane(seeds, range(lane, count, processes), make, hang) for lane in range(processes)]
    try:
        while lanes:
            time.sleep(POLL_SECONDS)
            lanes = [lane for lane in lanes if not lane.ended(outcome)]
    finally:
        for lane in lanes:
            lane.stop()
    return outcome


class _Lane:
    """One process after the other, over its share of the numbers."""

    def __init__(
        self, seeds: Sequence[bytes], numbers: range, make: Callable[[], Attempt], hang: float
    ) -> None:
        self._seeds = seeds
        self._make = make
        self._hang = hang
        self._start(numbers)

    def _start(self, numbers: range) -> None:
        self._numbers = numbers
        # Without a lock: a process that is killed might hold it.
        self._shared: Numbers = SPAWN.RawArray(ctypes.c_longlong, 9)
        self._shared[AT] = NOTHING_YET
        self._shared[BEGAN] = _now()
        self._strays = SPAWN.SimpleQueue()
        arguments = (self._seeds, numbers, self._make, self._shared, self._strays)
        self._process: SpawnProcess = SPAWN.Process(target=_work, args=arguments)
        self._process.start()

    def ended(self, outcome: Outcome) -> bool:
        """Whether all is done; a process that is lost is replaced."""
        at, seconds = self._shared[AT], (_now() - self._shared[BEGAN]) / 1e6
        hanging = seconds > (START_SECONDS if at == NOTHING_YET else self._hang)
        if self._process.is_alive() and not hanging:
            return False
        self.stop()
        self._collect(outcome)
        if self._process.exitcode == 0:
            return True
        at = self._shared[AT]
        if at == NOTHING_YET:
            raise RuntimeError("the decoding process did not start: see its output above")
        (outcome.hangs if hanging else outcome.crashes).append(at)
        self._start(range(at + self._numbers.step, self._numbers.stop, self._numbers.step))
        return False

    def stop(self) -> None:
        """End the process, if it has not ended."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join()

    def _collect(self, outcome: Outcome) -> None:
        shared = self._shared
        outcome.images += shared[IMAGES]
        outcome.refused += shared[REFUSED]
        outcome.growth = max(outcome.growth, (shared[PEAK_KB] - shared[STARTED_KB]) / 1024)
        outcome.slowest = max(outcome.slowest, (shared[SLOWEST_US] / 1e6, shared[SLOWEST]))
        while not self._strays.empty():
            outcome.strays.append(self._strays.get())


def _now() -> int:
    return time.monotonic_ns() // 1000


def _work(
    seeds: Sequence[bytes],
    numbers: range,
    make: Callable[[], Attempt],
    shared: Numbers,
    strays: multiprocessing.SimpleQueue[int],
) -> None:
    """Try the mutations of these numbers, and keep count of what became of them."""
    attempt = make()
    attempt(seeds[0])
    shared[STARTED_KB] = _kilobytes("VmRSS")
    for number in numbers:
        data = mutated(seeds, number)
        began = shared[BEGAN] = _now()
        shared[AT] = number
        try:
            shared[IMAGES if attempt(data) else REFUSED] += 1
        except Exception as error:
            print(f"mutation {number}: {error!r}", flush=True)
            strays.put(number)
        taken = _now() - began
        if taken > shared[SLOWEST_US]:
            shared[SLOWEST_US], shared[SLOWEST] = taken, number
        if number % NOTE_EVERY == 0:
            shared[PEAK_KB] = _kilobytes("VmHWM")
    shared[PEAK_KB] = _kilobytes("VmHWM")


def _kilobytes(name: str) -> int:
    """A figure of this process's own memory (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
