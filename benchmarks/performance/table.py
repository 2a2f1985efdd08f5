"""Rows as people read them, in a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from benchmarks.performance.row import RowJson

COLUMNS = ("what", "ours", "theirs", "unit", "ratio", "goal", "reached")

_PRECISE = {"cosine": 5, "%": 2, "LSB": 2}
"""Decimals of units whose goals lie closer together than three digits tell."""


def terminal(rows: Iterable[RowJson]) -> Table:
    """The rows as a table for a terminal, with notes below names."""
    table = Table(*COLUMNS, title="Performance", expand=True)
    for row in rows:
        what, *others = cells(row)
        table.add_row(f"{what}\n[dim]{row['note']}[/dim]" if row["note"] else what, *others)
    return table


def markdown(rows: Iterable[RowJson]) -> str:
    """The rows as a Markdown table, with spread, runs and notes."""
    lines = [
        "| " + " | ".join((*COLUMNS, "spread, runs", "note")) + " |",
        "|" + "---|" * (len(COLUMNS) + 2),
    ]
    for row in rows:
        texts = (*cells(row), spread(row), row["note"])
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |")
    return "\n".join(lines)


def cells(row: RowJson) -> tuple[str, ...]:
    """A text for each of `COLUMNS`."""
    return (
        row["name"],
        figure(row["ours"], row["unit"]),
        figure(row["theirs"], row["unit"]),
        row["unit"],
        beside(row),
        goal(row),
        verdict(row),
    )


def beside(row: RowJson) -> str:
    """Ours beside theirs: the ratio, or the difference where that is what the goal is on."""
    if row["ours"] is None or row["theirs"] is None or row["ratio"] is None:
        return ""
    if (row["goal"] or "").startswith("difference"):
        return f"{row['ours'] - row['theirs']:+.2f} {row['unit']}"
    return f"{figure(row['ratio'])} ×"


def goal(row: RowJson) -> str:
    """What the row is held to, in words; empty where it is only shown."""
    if row["goal"] is None:
        return ""
    subject, relation, limit = row["goal"].split()
    bound = "at least" if relation == ">=" else "at most"
    if subject == "ratio":
        return f"{bound} {limit} ×"
    return f"{bound} {limit} {row['unit']}" + (" more" if subject == "difference" else "")


def verdict(row: RowJson) -> str:
    """Whether the goal was reached; a dash where none was set."""
    if row["ours"] is None:
        return "not run"
    if row["reached"] is None:
        return "–" if row["goal"] is None else "not known"
    return "yes" if row["reached"] else "NO"


def spread(row: RowJson) -> str:
    """Spread and number of runs."""
    if not row["runs"]:
        return ""
    if row["spread"] is None:
        return f"{row['runs']}"
    low, high = (figure(end, _unit_of_spread(row)) for end in row["spread"])
    return f"{low} to {high}, {row['runs']}"


def figure(value: float | None, unit: str = "") -> str:
    """A number with as many digits as mean something; empty for None."""
    if value is None:
        return ""
    if unit in _PRECISE:
        return f"{value:.{_PRECISE[unit]}f}"
    size = abs(value)
    if size >= 1:
        return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"
    return f"{value:.3g}"


def _unit_of_spread(row: RowJson) -> str:
    of_ratio = row["goal"] is None and row["ratio"] is not None
    return "" if of_ratio or (row["goal"] or "").startswith("ratio") else row["unit"]
