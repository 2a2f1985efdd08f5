"""Answers at a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from service.output import show_facts, show_verdict
from service.schemas import Neighbor, Prediction, Verdict


def shown(verdict: Verdict, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    show_verdict(console, "photo.jpg", verdict)
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def verdict(label: str | None = "[red]truck[/red]") -> Verdict:
    terms = {"zero_shot": 24.0, "image_cache": 4.1}
    prediction = Prediction(label="[red]truck[/red]", probability=0.931, logit=28.1, terms=terms)
    neighbor = Neighbor(
        shot_id="4f0c2a9b6d1e4c58a3b7e0f1d2c3b4a5",
        label="car",
        image_affinity=0.812,
        text_affinity=0.5,
        contribution=-0.25,
    )
    return Verdict(
        label=label,
        confidence=0.931,
        unknown=label is None,
        predictions=[prediction],
        neighbors=[neighbor],
        tail_bound=0.0,
    )


def test_an_answer_shows_label_terms_and_neighbours() -> None:
    text = shown(verdict())
    # Not read as markup: it is whatever somebody called the class.
    assert "photo.jpg: [red]truck[/red] (93.1%)" in text
    for expected in ("zero", "+24.00", "image", "+4.10", "+28.10"):
        assert expected in text
    for expected in ("4f0c2a9b6d1e", "car", "0.812", "-0.250"):
        assert expected in text


def test_an_unknown_answer_says_so() -> None:
    assert "photo.jpg: unknown (93.1%)" in shown(verdict(None))


def test_without_neighbours_there_is_no_table_of_them() -> None:
    assert "say most" not in shown(verdict().model_copy(update={"neighbors": []}))


def test_facts_are_a_line_each() -> None:
    console = Console(file=io.StringIO(), width=80)
    facts = {"shots": 3, "model": "[bold]x", "fit": {"weight": 1 / 3}, "templates": ["a {}", "b"]}
    show_facts(console, facts)
    output = console.file
    assert isinstance(output, io.StringIO)
    assert [line.rstrip() for line in output.getvalue().splitlines()] == [
        "shots      3",
        "model      [bold]x",
        "fit",
        "  weight   0.3333",
        "templates  a {}, b",
    ]


def test_an_answer_fits_a_terminal_without_losing_a_word() -> None:
    terms = ("zero_shot", "class_offset", "gaussian", "image_cache", "text_cache")
    answer = verdict("lighthouse")
    answer.predictions[0].label = "lighthouse"
    answer.predictions[0].terms = dict.fromkeys(terms, -12.5)
    text = shown(answer, width=80)
    assert "lighthouse" in text
    assert text.count("-12.50") == 5
    assert "gaussian" in text
    assert "…" not in text
