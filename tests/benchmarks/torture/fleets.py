"""Services of this process in place of those that a long run starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.torture.fleet import WITHOUT_WEIGHTS, Address
from tests.service.serving import serving


@contextmanager
def local_fleet(
    count: int, folder: Path, program: tuple[str, ...] = WITHOUT_WEIGHTS
) -> Iterator[list[Address]]:
    """As `benchmarks.torture.fleet.fleet`, whatever the program."""
    with ExitStack() as held:
        services = [held.enter_context(serving(folder / "cache")) for _ in range(count)]
        yield [Address(service.url, os.getpid()) for service in services]
