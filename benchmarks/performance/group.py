"""What is measured together: its rows, its share of the time, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.performance.results import Found
from benchmarks.performance.row import Row


@dataclass(frozen=True)
class Setting:
    """What a group measures with.

    Attributes:
        photographs: JPEG files, in the order in which they are sent.
        folder: an empty folder of its own, removed afterwards.
        quick: whether only to show that it works, in seconds, with figures that mean nothing.
    """

    photographs: tuple[bytes, ...]
    folder: Path
    quick: bool = False


@dataclass(frozen=True)
class Group:
    """Rows that are measured together, in a process of their own.

    Attributes:
        name: for the command line.
        seconds: that it is meant to take on two cores; it is stopped at twice as many.
        rows: what it measures, without runs.
        measure: hands over each row of `rows`, with its runs or why it was not run, as it has it.
    """

    name: str
    seconds: float
    rows: tuple[Row, ...]
    measure: Callable[[Setting], Iterable[Found]]
