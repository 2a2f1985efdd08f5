"""Results files: what was measured, on what, of which program."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from adapter.files import write_whole
from benchmarks.performance.figures import Budget, Curve, Part, Point
from benchmarks.performance.machine import commit, machine, today, versions
from benchmarks.performance.row import Row, RowJson

FOLDER = Path(__file__).resolve().parents[1] / "results"
CPU, GPU = FOLDER / "performance.json", FOLDER / "performance-gpu.json"

Found = Row | Curve | Budget
"""What a group hands over as it measures."""


@dataclass(frozen=True)
class Results:
    """A results file.

    Attributes:
        facts: machine, versions, commit, date, photographs, and seconds of each group.
        rows: all rows of all groups, in their order.
        curves: throughput against latency.
        budgets: where a request's time goes.
    """

    facts: Mapping[str, Any]
    rows: Sequence[RowJson]
    curves: Sequence[Curve] = field(default_factory=tuple)
    budgets: Sequence[Budget] = field(default_factory=tuple)

    @property
    def measured(self) -> bool:
        """Whether any row was run."""
        return any(row["ours"] is not None for row in self.rows)


def collect(found: Sequence[Found], photographs: str, seconds: Mapping[str, float]) -> Results:
    """Results of this machine, now.

    Args:
        found: what was measured.
        photographs: which were sent.
        seconds: that each group took.
    """
    facts = {
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
        "date": today(),
        "photographs": photographs,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }
    return Results(
        facts,
        [each.json() for each in found if isinstance(each, Row)],
        tuple(each for each in found if isinstance(each, Curve)),
        tuple(each for each in found if isinstance(each, Budget)),
    )


def write(results: Results, path: Path) -> None:
    """Replace a results file by these, wholly or not at all."""
    document = {
        **results.facts,
        "rows": list(results.rows),
        "curves": [asdict(curve) for curve in results.curves],
        "budgets": [asdict(budget) for budget in results.budgets],
    }
    text = json.dumps(document, indent=1, ensure_ascii=False)
    write_whole(path, f"{text}\n".encode())


def read(path: Path) -> Results | None:
    """What `write` wrote; None where there is no such file."""
    if not path.is_file():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    rows, curves, budgets = (document.pop(name) for name in ("rows", "curves", "budgets"))
    return Results(
        document,
        rows,
        tuple(
            Curve(each["name"], each["loop"], tuple(Point(**point) for point in each["points"]))
            for each in curves
        ),
        tuple(
            Budget(each["name"], each["whole"], tuple(Part(**part) for part in each["parts"]))
            for each in budgets
        ),
    )
