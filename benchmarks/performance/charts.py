"""Two pictures: throughput against latency, and where a request's time goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.performance.figures import Budget, Curve
from benchmarks.performance.machine import ROOT

LOADS = ROOT / "docs" / "images" / "throughput-latency.png"
STAGES = ROOT / "docs" / "images" / "stages.png"


def draw_curves(curves: Sequence[Curve], path: Path = LOADS) -> None:
    """Latency over answers a second: solid p50, dashed p99, a colour a server.

    Lines join the points of an open loop; those of a closed one stand alone.
    """
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(figsize=(10, 5))
    names = list(dict.fromkeys(curve.name for curve in curves))
    for curve in curves:
        colour = f"C{names.index(curve.name)}"
        rates = [point.rate for point in curve.points]
        joined = curve.loop == "open"
        for style, marker, field in (("-", "o", "p50"), ("--", "^", "p99")):
            axis.plot(
                rates,
                [getattr(point, field) for point in curve.points],
                style if joined else "",
                color=colour,
                marker=marker,
                markersize=4 if joined else 9,
                fillstyle="full" if joined else "none",
                label=f"{curve.name}, {curve.loop} loop, {field}",
            )
    axis.set_yscale("log")
    axis.set_xlabel("answers a second")
    axis.set_ylabel("latency from the due time, ms")
    axis.grid(alpha=0.3, which="both")
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    _save(figure, path)


def draw_budgets(budgets: Sequence[Budget], path: Path = STAGES) -> None:
    """A stacked bar a request, of its stages and what they leave of the whole."""
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(figsize=(9, 1.6 + 0.9 * len(budgets)))
    names = list(dict.fromkeys(part.name for budget in budgets for part in budget.parts))
    for at, budget in enumerate(budgets):
        left = 0.0
        for part in budget.parts:
            shade = f"C{names.index(part.name) % 10}"
            axis.barh(at, part.ms, left=left, color=shade, edgecolor="white")
            left += part.ms
        axis.barh(at, max(0.0, budget.rest), left=left, color="lightgrey", edgecolor="white")
    patches = [
        *(pyplot.Rectangle((0, 0), 1, 1, color=f"C{at % 10}") for at in range(len(names))),
        pyplot.Rectangle((0, 0), 1, 1, color="lightgrey"),
    ]
    axis.legend(
        patches,
        [*names, "rest"],
        fontsize=7,
        ncols=2,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
    )
    axis.set_yticks(range(len(budgets)), [budget.name for budget in budgets], fontsize=8)
    axis.set_xlabel("ms")
    axis.grid(alpha=0.3, axis="x")
    _save(figure, path)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    _pyplot().close(figure)
