"""The long runs by name. A case's module has `run(effort, folder)`.

`effort` scales how much is done: 1 is the full run that the goals speak of, and tests take a small
part of it. `folder` is empty, and is gone afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.torture.row import Row

Run = Callable[[float, Path], Sequence[Row]]

CASES: tuple[str, ...] = (
    "images",
    "contract",
    "model",
    "kills",
    "torn",
    "flips",
    "adapter_flips",
    "service_kills",
    "readback",
    "idempotency",
    "door",
    "overload",
    "soak",
    "start",
)
"""In the order in which they run; each is a module of this package."""


def case(name: str) -> Run:
    """The run of this name. Raises ValueError."""
    if name not in CASES:
        raise ValueError(f"expected one of {', '.join(CASES)}, got {name!r}")
    run: Run = import_module(f"benchmarks.torture.{name}").run
    return run
