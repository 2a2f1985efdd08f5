"""Answers for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from service.schemas import Neighbor, Prediction, Verdict

ID_SHOWN = 12


def show_verdict(console: Console, name: str, verdict: Verdict) -> None:
    """One image's answer: the classes with their terms, and the shots that speak for them."""
    parts: list[RenderableType] = [_headline(name, verdict), _predictions(verdict.predictions)]
    if verdict.neighbors:
        parts.append(_neighbors(verdict.neighbors))
    console.print(Group(*parts))


def show_facts(console: Console, facts: Mapping[str, Any]) -> None:
    """Names and values, a line each."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(Text(name, style="bold"), Text(str(value)))
    console.print(table)


def _headline(name: str, verdict: Verdict) -> Text:
    label = "unknown" if verdict.label is None else verdict.label
    line = Text(f"{name}: ")
    line.append(label, style="bold green" if verdict.label is not None else "bold yellow")
    line.append(f" ({verdict.confidence:.1%})")
    return line


def _predictions(predictions: Iterable[Prediction]) -> Table:
    rows = list(predictions)
    names = list(rows[0].terms) if rows else []
    table = Table(title="what it is taken for", title_justify="left")
    table.add_column("label")
    for column in ("probability", "logit", *names):
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        terms = [f"{row.terms[name]:+.2f}" for name in names]
        table.add_row(Text(row.label), f"{row.probability:.1%}", f"{row.logit:+.2f}", *terms)
    return table


def _neighbors(neighbors: Iterable[Neighbor]) -> Table:
    table = Table(title="the shots that say most", title_justify="left")
    for column in ("shot", "label"):
        table.add_column(column)
    for column in ("image affinity", "text affinity", "contribution"):
        table.add_column(column, justify="right")
    for neighbor in neighbors:
        table.add_row(
            neighbor.shot_id[:ID_SHOWN],
            Text(neighbor.label),
            f"{neighbor.image_affinity:.3f}",
            f"{neighbor.text_affinity:.3f}",
            f"{neighbor.contribution:+.3f}",
        )
    return table
