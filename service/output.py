"""Answers for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from service.schemas import Neighbor, Prediction, Verdict

ID_SHOWN = 12
LABEL_SHOWN = 16


def show_verdict(console: Console, name: str, verdict: Verdict) -> None:
    """One image's answer: the classes with their terms, and the shots that speak for them."""
    parts: list[RenderableType] = [
        _headline(name, verdict),
        "",
        _predictions(verdict.predictions),
        "",
    ]
    if verdict.neighbors:
        parts += [_neighbors(verdict.neighbors), ""]
    console.print(Group(*parts))


def show_facts(console: Console, facts: Mapping[str, Any]) -> None:
    """Names and values, a line each; what is within a value is set in."""
    table = Table.grid(padding=(0, 2))
    for name, value in _lines(facts, ""):
        table.add_row(Text(name, style="bold"), Text(value))
    console.print(table)


def _lines(facts: Mapping[str, Any], margin: str) -> Iterator[tuple[str, str]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield margin + name, ""
            yield from _lines(value, margin + "  ")
        elif isinstance(value, list):
            yield margin + name, ", ".join(map(str, value))
        else:
            yield margin + name, f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(title: str, first: str) -> Table:
    """Narrow: an answer has many columns, and a terminal 80 characters."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold", min_width=LABEL_SHOWN)
    return table


def _headline(name: str, verdict: Verdict) -> Text:
    label = "unknown" if verdict.label is None else verdict.label
    line = Text(f"{name}: ")
    line.append(label, style="bold green" if verdict.label is not None else "bold yellow")
    line.append(f" ({verdict.confidence:.1%})")
    return line


def _predictions(predictions: Iterable[Prediction]) -> Table:
    rows = list(predictions)
    names = list(rows[0].terms) if rows else []
    table = _table("what it is taken for", "label")
    for column in ("share", "logit", *names):
        table.add_column(column.replace("_", "\n"), justify="right", vertical="bottom")
    for row in rows:
        terms = [f"{row.terms[name]:+.2f}" for name in names]
        table.add_row(Text(row.label), f"{row.probability:.1%}", f"{row.logit:+.2f}", *terms)
    return table


def _neighbors(neighbors: Iterable[Neighbor]) -> Table:
    table = _table("the nearest shots", "label")
    table.add_column("shot")
    for column in ("image affinity", "text affinity", "contribution"):
        table.add_column(column, justify="right")
    for neighbor in neighbors:
        table.add_row(
            Text(neighbor.label),
            neighbor.shot_id[:ID_SHOWN],
            f"{neighbor.image_affinity:.3f}",
            f"{neighbor.text_affinity:.3f}",
            f"{neighbor.contribution:+.3f}",
        )
    return table
