"""Tables and pictures of what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.costs import Cost
from benchmarks.teaching import SHOTS, Score

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "measured.md"
CURVES = ROOT / "docs" / "images" / "teaching.png"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def cell(scores: Sequence[Score]) -> str:
    """Mean and spread over the seeds."""
    if not scores:
        return ""
    values = [score.accuracy for score in scores]
    if len(values) == 1 or len(set(values)) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def accuracy_table(scores: Sequence[Score]) -> str:
    """A row for each task, group and method; a column for each number of shots."""
    columns = (0, *SHOTS)
    lines = [
        "| taught | counted | method | " + " | ".join(str(shots) for shots in columns) + " |",
        "|---|---|---|" + "---|" * len(columns),
    ]
    for task, group, method in rows_of(scores):
        cells = [
            cell(
                [
                    s
                    for s in scores
                    if (s.task, s.group, s.method, s.shots) == (task, group, method, shots)
                ]
            )
            for shots in columns
        ]
        lines.append(f"| {task} | {group} | {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rows_of(scores: Sequence[Score]) -> list[tuple[str, str, str]]:
    """Task, group and method of each row, in the order that they were measured in."""
    return list(dict.fromkeys((s.task, s.group, s.method) for s in scores))


def cost_table(costs: Sequence[Cost]) -> str:
    """A row a cost."""
    lines = ["| what | median | 10th to 90th percentile | repeats |", "|---|---|---|---|"]
    for cost in costs:
        spread = "" if cost.repeats == 1 else f"{cost.low:.1f} to {cost.high:.1f}"
        lines.append(f"| {cost.name} | {cost.median:.1f} {cost.unit} | {spread} | {cost.repeats} |")
    return "\n".join(lines)


def markdown(scores: Sequence[Score], costs: Sequence[Cost]) -> str:
    """Both tables."""
    return (
        "Accuracy in percent by shots a class (0: names alone), mean and standard deviation over "
        f"the seeds of the shots:\n\n{accuracy_table(scores)}\n\n{cost_table(costs)}"
    )


def write(scores: Sequence[Score], costs: Sequence[Cost], machine: Mapping[str, object]) -> None:
    """Put the tables between the markers of docs/measured.md, and draw the curves."""
    text = DOCUMENT.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    block = f"{BEGIN}\n\n{markdown(scores, costs)}\n\nMeasured with: {facts}.\n\n{END}"
    DOCUMENT.write_text(head + block + tail, encoding="utf-8")
    draw(scores, CURVES)


def draw(scores: Sequence[Score], path: Path) -> None:
    """Accuracy against shots: a panel a task, a line a group and method, spread as a band."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    tasks = list(dict.fromkeys(score.task for score in scores))
    figure, axes = pyplot.subplots(1, len(tasks), figsize=(4.2 * len(tasks), 3.8), squeeze=False)
    for axis, task in zip(axes[0], tasks, strict=True):
        for _, group, method in (row for row in rows_of(scores) if row[0] == task):
            points = {
                shots: [
                    s.accuracy
                    for s in scores
                    if (s.task, s.group, s.method, s.shots) == (task, group, method, shots)
                ]
                for shots in (0, *SHOTS)
            }
            places = [i for i, values in enumerate(points.values()) if values]
            means = [statistics.mean(values) for values in points.values() if values]
            spreads = [
                statistics.stdev(values) if len(values) > 1 else 0.0
                for values in points.values()
                if values
            ]
            dashed = method != "service"
            axis.plot(
                places,
                means,
                "--" if dashed else "-",
                marker="o",
                markersize=3,
                label=f"{group}, {method}" if dashed else group,
            )
            axis.fill_between(
                places,
                [m - s for m, s in zip(means, spreads, strict=True)],
                [m + s for m, s in zip(means, spreads, strict=True)],
                alpha=0.15,
            )
        axis.set_title(task, fontsize=10)
        axis.set_xticks(range(len(SHOTS) + 1), [str(shots) for shots in (0, *SHOTS)])
        axis.set_xlabel("shots a class")
        axis.set_ylim(0, 100)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    axes[0][0].set_ylabel("accuracy, %")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
