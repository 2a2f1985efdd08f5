"""`python -m benchmarks.torture [CASE ...]`: run all long runs, or some, and keep their rows."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.torture import document
from benchmarks.torture.cases import CASES, case
from benchmarks.torture.row import write


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Cases; all if none is named.")] = None,
    effort: Annotated[float, typer.Option(help="Part of the full run.", min=1e-6)] = 1.0,
) -> None:
    """Try to lose data or take the service down; exit with 1 where a goal was not reached.

    Rows of a full run go to benchmarks/results/torture-CASE.json and docs/reliability.md.
    """
    missed = 0
    for name in names or CASES:
        with tempfile.TemporaryDirectory(prefix=f"xmadapter-{name}-") as folder:
            rows = case(name)(effort, Path(folder))
        for row in rows:
            print(row.line(), flush=True)
            missed += not row.reached
        if effort >= 1:
            write(name, effort, rows)
            document.refresh()
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    typer.run(main)
