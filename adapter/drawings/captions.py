"""Captions as sets of facts: a caption is true of an image that has all of its facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapter.drawings.glyphs import plural
from adapter.drawings.scene import Scene

Fact = tuple[str, str]
Facts = frozenset[Fact]


@dataclass(frozen=True)
class Caption:
    """A sentence and what it asserts."""

    text: str
    facts: Facts


def facts(scene: Scene) -> Facts:
    """All that is true of a drawing, as (attribute, value) pairs."""
    return frozenset(
        {
            ("medium", "drawing"),
            ("noun", scene.shape),
            ("colour", scene.colour),
            ("count", scene.count),
            ("fill", scene.fill),
            ("ground", scene.ground),
            ("ground colour", scene.ground_colour),
        }
    )


def article(phrase: str) -> str:
    """`phrase` with "a" or "an" before it."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def captions(scene: Scene) -> tuple[Caption, ...]:
    """Captions of a drawing, from one fact to all of them; every one is true of it."""
    s, many = scene, scene.count != "one"
    noun = plural(s.shape) if many else s.shape
    counted = f"{s.count} " if many else ""
    ground = f"{s.ground} {s.ground_colour} background"

    def said(text: str, *stated: Fact) -> Caption:
        return Caption(text, frozenset(stated))

    shape, colour = ("noun", s.shape), ("colour", s.colour)
    count, fill = ("count", s.count), ("fill", s.fill)
    behind, tone = ("ground", s.ground), ("ground colour", s.ground_colour)
    drawn = ("medium", "drawing")
    painted = f"{s.fill} {s.colour}"
    whole = f"{counted}{painted} {noun}" if many else article(f"{painted} {noun}")
    return (
        said(f"a photo of {article(s.shape)}.", shape),
        said(f"{article(s.shape)}", shape),
        said(f"a drawing of {article(s.shape)}", shape, drawn),
        said(f"a drawing of {counted or 'one '}{noun}", shape, count, drawn),
        said(f"{article(s.colour)} {s.shape}", shape, colour),
        said(f"a drawing of {article(s.colour)} {s.shape}", shape, colour, drawn),
        said(f"a photo of {article(s.colour)} {s.shape}.", shape, colour),
        said(f"{s.count} {s.colour} {noun}", shape, colour, count),
        said(f"{article(s.fill)} {s.shape}", shape, fill),
        said(f"{article(painted)} {s.shape}", shape, colour, fill),
        said(
            f"a drawing in {s.colour} on {article(s.ground_colour)} background", colour, tone, drawn
        ),
        said(f"{article(s.shape)} on {article(ground)}", shape, behind, tone),
        said(f"a drawing on {article(s.ground)} background", behind, drawn),
        said(f"a drawing of {s.count} {'things' if many else 'thing'}", count, drawn),
        said(f"{article(s.fill)} drawing", fill, drawn),
        said(f"{whole} on {article(ground)}", shape, colour, count, fill, behind, tone),
    )


def truth(
    stated: Iterable[Facts], shown: Iterable[Facts], vocabulary: Sequence[Fact]
) -> NDArray[np.bool_]:
    """(images, captions) matrix: entry (i, j) says that caption j is true of image i."""
    claims, images = encode(stated, vocabulary), encode(shown, vocabulary)
    met = images.astype(np.int32) @ claims.T.astype(np.int32)
    holds: NDArray[np.bool_] = met == claims.sum(1, dtype=np.int32)
    return holds


def encode(sets: Iterable[Facts], vocabulary: Sequence[Fact]) -> NDArray[np.uint8]:
    """(N, V) indicator rows of fact sets over `vocabulary`."""
    column = {fact: i for i, fact in enumerate(vocabulary)}
    rows = list(sets)
    table = np.zeros((len(rows), len(column)), dtype=np.uint8)
    for i, row in enumerate(rows):
        table[i, [column[fact] for fact in row]] = 1
    return table
