"""The shortest caption of each single fact, and which facts exclude one another."""

from __future__ import annotations

from collections.abc import Sequence

from adapter.drawings import Fact
from adapter.drawings.captions import article

_TEMPLATES = {
    "medium": "{a}",
    "noun": "a photo of {a}.",
    "kind": "a photo of {a}.",
    "colour": "{a} thing",
    "count": "a drawing with a count of {}",
    "fill": "{a} drawing",
    "ground": "a drawing on {a} background",
    "ground colour": "a drawing on {a} background",
    "centre": "a photo with {a} centre",
    "border": "a photo with {a} background",
    "light": "{a} photo",
    "contrast": "a photo with {} contrast",
    "detail": "{a} photo",
    "lighter": "a photo that is lighter at the {}",
}


def statement(fact: Fact) -> str:
    """A caption that asserts `fact` and nothing else."""
    attribute, value = fact
    return _TEMPLATES[attribute].replace("{a}", article(value)).replace("{}", value)


def alternatives(vocabulary: Sequence[Fact]) -> dict[str, list[int]]:
    """For each attribute the positions of its values in `vocabulary`; an image has one at most."""
    columns: dict[str, list[int]] = {}
    for column, (attribute, _) in enumerate(vocabulary):
        columns.setdefault(attribute, []).append(column)
    return columns
