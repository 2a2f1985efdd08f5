"""`python -m benchmarks.performance`: measure, print every row, keep the results."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.performance import charts, document, inputs, registry, results, table
from benchmarks.performance.group import Group, Setting
from benchmarks.performance.results import Found, Results
from benchmarks.performance.row import Row
from benchmarks.performance.runner import OVERTIME, run

TOTAL_SECONDS = 600.0
LOG_WIDTH = 140
"""Of what is printed where there is no terminal to ask."""


def main(
    only: Annotated[
        list[str] | None,
        typer.Option(help=f"Groups to measure; nothing is kept. {', '.join(registry.CPU)}."),
    ] = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="The rows of a CUDA device.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="In seconds, with meaningless figures; not kept.")
    ] = False,
    photographs: Annotated[
        Path, typer.Option(help="Folder of JPEG files.", exists=False)
    ] = inputs.FOLDER,
) -> None:
    """Measure ours and theirs side by side, and say which goals were reached.

    A full run replaces benchmarks/results/performance.json (performance-gpu.json with --gpu), its
    charts, and what docs/performance.md and the README say of it. An interrupted one leaves them.
    """
    files, said = inputs.photographs(photographs)
    names = only or list(registry.GPU if gpu else registry.CPU)
    groups = [registry.group(name) for name in names]
    console = Console()
    if not console.is_terminal:
        console = Console(width=LOG_WIDTH)
    found, seconds = measure(groups, Setting(files, Path(), quick), console)
    taken = results.collect(found, said, seconds)
    console.print(table.terminal(taken.rows))
    console.print(document.tally(taken.rows))
    console.print("seconds: " + ", ".join(f"{name} {value:.0f}" for name, value in seconds.items()))
    if not (only or quick):
        keep(taken, results.GPU if gpu else results.CPU)


def measure(
    groups: list[Group], setting: Setting, console: Console
) -> tuple[list[Found], dict[str, float]]:
    """What all groups found, and the seconds that each took; rows are printed as they come."""
    began = time.monotonic()
    found: list[Found] = []
    seconds: dict[str, float] = {}
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        for group in groups:
            bar = progress.add_task(group.name, total=len(group.rows))

            def show(each: Found, bar: TaskID = bar) -> None:
                if isinstance(each, Row):
                    progress.advance(bar)
                    progress.console.print(line(each))

            start = time.monotonic()
            left = TOTAL_SECONDS - (start - began)
            found += run(group, setting, max(1.0, min(OVERTIME * group.seconds, left)), show)
            seconds[group.name] = time.monotonic() - start
    return found, seconds


def line(row: Row) -> str:
    """A row for a terminal while others are still measured."""
    name, ours, theirs, unit, ratio, goal, verdict = table.cells(row.json())
    if not row.ours:
        return f"{name}: {row.note}"
    against = f" against {theirs}" if theirs else ""
    parts = [part for part in (ratio, f"goal: {goal}" if goal else "", verdict) if part]
    return f"{name}: {ours}{against} {unit} ({'; '.join(parts)})"


def keep(taken: Results, path: Path) -> None:
    """Write a full run's results, draw its charts, refresh the documents.

    Rows that were measured on a GPU are not replaced by rows that found none.
    """
    before = results.read(path)
    if before and before.measured and not taken.measured:
        return
    results.write(taken, path)
    if taken.curves:
        charts.draw_curves(taken.curves)
    if taken.budgets:
        charts.draw_budgets(taken.budgets)
    document.refresh()


if __name__ == "__main__":
    typer.run(main)
