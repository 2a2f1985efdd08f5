"""The demo's images: twelve classes and one to teach, each image fixed by its label and seed."""

from __future__ import annotations

import zlib

import numpy as np
from PIL import Image, ImageDraw

from adapter.drawings.outline import place
from adapter.drawings.paint import (
    COLOURS,
    PATTERNS,
    RGB,
    blend,
    distance,
    pattern,
    shade,
    vary,
)
from adapter.drawings.things import THINGS, Layer, Role

EXTRA_CLASS: str = "rocket"
DEMO_CLASSES: tuple[str, ...] = tuple(name for name in THINGS if name != EXTRA_CLASS)

_OVERSAMPLING = 2
_INK: RGB = (38, 34, 46)
_PAPER: RGB = (250, 247, 238)
_VIVID = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown")
_STYLES = ("flat", "contour", "lines")


def demo_image(label: str, seed: int, size: int = 224) -> Image.Image:
    """An RGB drawing of `label` (size, size), the same for the same label and seed.

    Colours, style, ground, place, scale and turn vary with the seed, and details of the
    thing itself. Raises ValueError for a label that is neither a demo class nor the extra one.
    """
    if label not in THINGS:
        raise ValueError(f"expected one of {tuple(THINGS)}, got {label!r}")
    rng = np.random.default_rng([zlib.crc32(label.encode()), seed])
    style = str(rng.choice(_STYLES, p=[0.4, 0.4, 0.2]))
    ground = _ground_tone(rng)
    tones = _tones(ground, style, rng)
    side = size * _OVERSAMPLING
    canvas = _ground(ground, side, rng)
    _paint(canvas, THINGS[label](rng), tones, style, rng)
    return canvas.resize((size, size), Image.Resampling.BOX)


def _ground_tone(rng: np.random.Generator) -> RGB:
    tone = vary(COLOURS[str(rng.choice(tuple(COLOURS)))], rng)
    pale = rng.random() < 0.75
    return blend(tone, (255, 255, 255), rng.uniform(0.45, 0.85)) if pale else tone


def _ground(tone: RGB, side: int, rng: np.random.Generator) -> Image.Image:
    kind = str(rng.choice(PATTERNS, p=[0.3, 0.2, 0.1, 0.14, 0.12, 0.14]))
    second = shade(tone, rng.uniform(0.08, 0.25))
    return Image.fromarray(pattern(kind, side, tone, second, side * rng.uniform(0.1, 0.26), rng))


def _tones(ground: RGB, style: str, rng: np.random.Generator) -> dict[Role, RGB]:
    """A colour for each role; the main ones stand out from the ground."""
    clear = [c for c in _VIVID if distance(COLOURS[c], ground) > 105]
    main, second, third = (vary(COLOURS[str(c)], rng) for c in rng.choice(clear, 3, replace=False))
    if style == "lines":
        ink = main if distance(main, ground) > 150 else _far(ground)
        return {"main": ground, "second": ground, "third": ground, "light": ground, "dark": ink}
    light = _PAPER if distance(_PAPER, ground) > 90 else blend(main, _PAPER, 0.75)
    dark = _INK if distance(_INK, ground) > 90 else _PAPER
    return {"main": main, "second": second, "third": third, "light": light, "dark": dark}


def _far(ground: RGB) -> RGB:
    return _INK if distance(_INK, ground) > 200 else _PAPER


def _paint(
    canvas: Image.Image,
    layers: list[Layer],
    tones: dict[Role, RGB],
    style: str,
    rng: np.random.Generator,
) -> None:
    draw = ImageDraw.Draw(canvas)
    side = canvas.width
    radius = rng.uniform(0.27, 0.42)
    slack = 0.5 - radius * 1.08
    x, y = 0.5 + rng.uniform(-slack, slack, 2)
    turn, stretch = rng.normal(0.0, 11.0), float(np.exp(rng.normal(0.0, 0.07)))
    mirror = np.array([-1.0 if rng.random() < 0.5 else 1.0, 1.0])
    contour = max(2, round(side * radius * rng.uniform(0.035, 0.065)))
    for layer in layers:
        points = place(layer.part.points * mirror, x, y, radius, turn, stretch) * side
        ring = [(px, py) for px, py in points]
        tone = tones["dark"] if style == "lines" and layer.thin else tones[layer.role]
        draw.polygon(ring, fill=tone)
        if style != "flat" and not layer.thin:
            draw.line([*ring, *ring[:2]], fill=tones["dark"], width=contour, joint="curve")
