"""A process that decodes is lost, and its supervisor tells on what, and goes on behind it."""

from __future__ import annotations

import os
import signal
import time

from benchmarks.torture.decoding import Attempt, decode
from benchmarks.torture.mutation import mutated
from benchmarks.torture.seeds import seeds

SEEDS = seeds()[:1]
CRASH, HANG, STRAY = 5, 8, 11


def hostile() -> Attempt:
    """Three files bring it down, each in its way; of the others, every fourth is refused."""
    numbers = {mutated(SEEDS, number): number for number in range(16)}
    assert len({SEEDS[0], *numbers}) == 17

    def attempt(data: bytes) -> bool:
        number = numbers.get(data)
        if number == CRASH:
            os.kill(os.getpid(), signal.SIGSEGV)
        if number == HANG:
            time.sleep(60)
        if number == STRAY:
            raise KeyError("stray")
        return number is None or number % 4 != 2

    return attempt


def test_what_brings_a_process_down_is_named_and_the_others_are_counted() -> None:
    found = decode(SEEDS, 16, 1, make=hostile, hang=1.0)
    assert (found.crashes, found.hangs, found.strays) == ([CRASH], [HANG], [STRAY])
    assert (found.images, found.refused) == (9, 4)
    assert found.done == 16
