"""A drawing as a value, how one is drawn by lot, and its rendering."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from adapter.drawings.glyphs import GLYPHS, Outline
from adapter.drawings.outline import Points, place
from adapter.drawings.paint import (
    COLOURS,
    PATTERNS,
    RGB,
    Pixels,
    blend,
    distance,
    pattern,
    shade,
    vary,
)

FILLS = ("solid", "outlined", "striped", "checkered", "spotted")
COUNTS = ("one", "two", "three", "four", "five")
SHAPES = tuple(GLYPHS)
_OVERSAMPLING = 3
_CONTRAST = 95.0


@dataclass(frozen=True)
class Scene:
    """What a drawing shows; every field is a name that a caption may state."""

    shape: str
    colour: str
    count: str
    fill: str
    ground: str
    ground_colour: str


def held_out(shape: str, colour: str) -> bool:
    """Whether this pair is kept from the pre-training, one pair in eight."""
    return (3 * SHAPES.index(shape) + 5 * tuple(COLOURS).index(colour)) % 8 == 0


def sample(rng: np.random.Generator, unseen: bool = False) -> Scene:
    """A scene by lot: of the pairs of shape and colour in use, or only of those held out."""
    while True:
        shape, colour = str(rng.choice(SHAPES)), str(rng.choice(tuple(COLOURS)))
        if held_out(shape, colour) == unseen:
            break
    grounds = [g for g in COLOURS if distance(COLOURS[g], COLOURS[colour]) > _CONTRAST + 25]
    return Scene(
        shape=shape,
        colour=colour,
        count=str(rng.choice(COUNTS, p=[0.6, 0.13, 0.11, 0.09, 0.07])),
        fill=str(rng.choice(FILLS, p=[0.5, 0.2, 0.1, 0.1, 0.1])),
        ground=str(rng.choice(PATTERNS, p=[0.3, 0.15, 0.15, 0.14, 0.13, 0.13])),
        ground_colour=str(rng.choice(grounds)),
    )


def render(scene: Scene, size: int, rng: np.random.Generator) -> Image.Image:
    """The scene as an RGB image of (size, size); place, turn, scale and tones come from `rng`."""
    side = size * _OVERSAMPLING
    colour, ground = _tones(scene, rng)
    canvas = _ground(scene.ground, ground, colour, side, rng)
    mask = Image.new("L", (side, side), 0)
    _ink(mask, scene, rng)
    ink = Image.fromarray(_ink_pixels(scene.fill, colour, ground, side, rng))
    canvas.paste(ink, (0, 0), mask)
    return canvas.resize((size, size), Image.Resampling.BOX)


def _tones(scene: Scene, rng: np.random.Generator) -> tuple[RGB, RGB]:
    while True:
        colour = vary(COLOURS[scene.colour], rng)
        ground = vary(COLOURS[scene.ground_colour], rng)
        if distance(colour, ground) > _CONTRAST:
            return colour, ground


def _ground(kind: str, tone: RGB, ink: RGB, side: int, rng: np.random.Generator) -> Image.Image:
    second = shade(tone, rng.uniform(0.18, 0.42))
    if distance(second, ink) < _CONTRAST * 0.7:
        second = blend(tone, second, 0.4)
    return Image.fromarray(pattern(kind, side, tone, second, side * rng.uniform(0.1, 0.26), rng))


def _ink_pixels(fill: str, colour: RGB, ground: RGB, side: int, rng: np.random.Generator) -> Pixels:
    kind = fill if fill in PATTERNS else "plain"
    second = shade(colour, rng.uniform(0.45, 0.65))
    if distance(second, ground) < _CONTRAST * 0.7:
        second = blend(colour, second, 0.6)
    return pattern(kind, side, colour, second, side * rng.uniform(0.055, 0.11), rng)


def _ink(mask: Image.Image, scene: Scene, rng: np.random.Generator) -> None:
    draw = ImageDraw.Draw(mask)
    count = COUNTS.index(scene.count) + 1
    side = mask.width
    for x, y, radius in _places(count, rng):
        turn, stretch = rng.normal(0.0, 10.0), float(np.exp(rng.normal(0.0, 0.05)))
        for part in _outline(scene.shape):
            points = place(part.points, x, y, radius, turn, stretch) * side
            value = 0 if part.hole else 255
            if scene.fill == "outlined":
                _trace(draw, points, max(2, round(side * radius * 0.17)))
            else:
                draw.polygon([(px, py) for px, py in points], fill=value)


def _trace(draw: ImageDraw.ImageDraw, points: Points, width: int) -> None:
    ring = [(px, py) for px, py in np.concatenate([points, points[:2]])]
    draw.line(ring, fill=255, width=width, joint="curve")


def _places(count: int, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Centre and radius of each glyph, as shares of the side; they hardly touch."""
    if count == 1:
        radius = rng.uniform(0.2, 0.4)
        slack = 0.5 - radius * 0.95
        x, y = 0.5 + rng.uniform(-slack, slack, 2)
        return [(x, y, radius)]
    radius = {2: 0.2, 3: 0.17, 4: 0.16, 5: 0.14}[count] * rng.uniform(0.85, 1.05)
    spots: list[tuple[float, float, float]] = []
    for attempt in range(2000):
        x, y = rng.uniform(radius, 1 - radius, 2)
        gap = radius * (2.1 - attempt / 2500)
        if all(np.hypot(x - a, y - b) > gap for a, b, _ in spots):
            spots.append((float(x), float(y), radius))
            if len(spots) == count:
                break
    return spots


@cache
def _outline(shape: str) -> Outline:
    return GLYPHS[shape]()
