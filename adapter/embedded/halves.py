"""One loss over a whole batch whose parts pass through the towers in threads of their own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
Features = tuple[Tensor, ...]


class Crew:
    """Worker threads, each with one core to itself and one thread inside torch.

    With a core's work split inside every operation, a busy machine makes each operation wait for
    its slowest part; split by images, a step waits twice only.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._number = itertools.count()
        self._cores = _cores()
        self._threads = ThreadPoolExecutor(size, initializer=self._settle)

    def _settle(self) -> None:
        torch.set_num_threads(1)
        number = next(self._number)
        if self._cores and self.size > 1:
            os.sched_setaffinity(0, {self._cores[number % len(self._cores)]})

    def map(self, work: Callable[[T], Features], parts: Sequence[T]) -> list[Features]:
        """`work` on each part, in the parts' order."""
        return list(self._threads.map(work, parts))

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def backward(crew: Crew, parts: Sequence[Features], loss_of: Callable[[Features], Tensor]) -> None:
    """Accumulate the gradients of a loss over joined parts.

    `parts` are tuples of features (b, D), one tuple a part; `loss_of` takes the tuple of their
    concatenations. Each part's own graph is walked by a thread of the crew.
    """
    leaves = [tuple(x.detach().requires_grad_() for x in part) for part in parts]
    joined = tuple(torch.cat(column) for column in zip(*leaves, strict=True))
    loss_of(joined).backward()  # type: ignore[no-untyped-call]

    def walk(pair: tuple[Features, Features]) -> Features:
        torch.autograd.backward(list(pair[0]), [leaf.grad for leaf in pair[1]])
        return ()

    crew.map(walk, list(zip(parts, leaves, strict=True)))
