"""Services on one cache, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.process import CLI, PIXELS, running

WITHOUT_WEIGHTS = PIXELS
"""The encoder without weights: quick to start, and the same in all that is not the model."""

SHIPPED = (*CLI, "serve")


@dataclass(frozen=True)
class Address:
    """Where a service listens, and its process."""

    url: str
    pid: int


@contextmanager
def fleet(
    count: int, folder: Path, program: tuple[str, ...] = WITHOUT_WEIGHTS
) -> Iterator[list[Address]]:
    """Start `count` services on a cache in `folder`, all at once; they are killed at the end."""
    with ExitStack() as held:
        processes = [
            held.enter_context(running(*program, cwd=folder, cache=folder / "cache"))
            for _ in range(count)
        ]
        for process in processes:
            held.enter_context(process.ready())
        yield [Address(process.url, process.pid) for process in processes]
