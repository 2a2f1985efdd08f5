"""The glyphs that the shipped model is pre-trained on; none of them is a demo class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from adapter.drawings.outline import (
    Part,
    arc,
    bezier,
    box,
    ellipse,
    polygon,
    radial,
    regular,
    stroke,
)

Outline = tuple[Part, ...]


def _heart() -> Outline:
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    x = np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
    return (Part(np.stack([x, y - 0.05], axis=1)),)


def _crescent() -> Outline:
    outer = arc(0, 0, 1, 1, 60, 300, 40)
    inner = arc(0.42, 0, 0.87, 0.87, 275, 85, 40)
    return (Part(np.concatenate([outer, inner])),)


def _drop() -> Outline:
    bulb = arc(0, 0.35, 0.62, 0.62, -25, 205, 30)
    return (Part(np.concatenate([bulb, np.array([[0.0, -1.0]])])),)


def _gear() -> Outline:
    teeth = np.tile([1.0, 1.0, 0.72, 0.72], 9)
    return (radial(teeth), ellipse(0, 0, 0.3, hole=True))


def _cloud() -> Outline:
    return (
        ellipse(-0.55, 0.15, 0.42),
        ellipse(0.0, -0.15, 0.55),
        ellipse(0.55, 0.12, 0.43),
        box(-0.6, 0.1, 0.6, 0.55),
    )


def _flower() -> Outline:
    angles = np.radians(np.arange(0, 360, 60))
    petals = tuple(ellipse(0.6 * np.cos(a), 0.6 * np.sin(a), 0.38) for a in angles)
    return (*petals, ellipse(0, 0, 0.24, hole=True))


def _leaf() -> Outline:
    right = bezier((0, -1), (0.95, -0.3), (0.5, 0.7), (0, 0.75))
    left = bezier((0, 0.75), (-0.5, 0.7), (-0.95, -0.3), (0, -1))
    return (
        Part(np.concatenate([right, left])),
        box(-0.06, 0.7, 0.06, 1.0),
        box(-0.04, -0.5, 0.04, 0.6, hole=True),
    )


def _spiral() -> Outline:
    t = np.linspace(0.6, 4.6 * np.pi, 90)
    radius = t / (4.6 * np.pi)
    return (stroke(np.stack([radius * np.cos(t), radius * np.sin(t)], axis=1), 0.2),)


def _tree() -> Outline:
    return (
        box(-0.13, 0.5, 0.13, 1.0),
        polygon((0, -1), (0.45, -0.35), (-0.45, -0.35)),
        polygon((0, -0.6), (0.6, 0.1), (-0.6, 0.1)),
        polygon((0, -0.2), (0.75, 0.6), (-0.75, 0.6)),
    )


def _flag() -> Outline:
    cloth = np.concatenate(
        [
            bezier((-0.6, -0.9), (-0.1, -1.15), (0.3, -0.55), (0.85, -0.85)),
            bezier((0.85, 0.0), (0.3, 0.3), (-0.1, -0.3), (-0.6, -0.05)),
        ]
    )
    return (box(-0.72, -1, -0.56, 1), Part(cloth))


def _bell() -> Outline:
    right = bezier((0, -0.85), (0.75, -0.8), (0.4, 0.2), (0.85, 0.55))
    left = bezier((-0.85, 0.55), (-0.4, 0.2), (-0.75, -0.8), (0, -0.85))
    return (Part(np.concatenate([right, left])), ellipse(0, 0.75, 0.2), ellipse(0, -0.9, 0.12))


def _balloon() -> Outline:
    string = bezier((0, 0.4), (0.35, 0.6), (-0.35, 0.8), (0.05, 1.05))
    return (
        ellipse(0, -0.35, 0.56, 0.65),
        polygon((0, 0.2), (0.15, 0.45), (-0.15, 0.45)),
        stroke(string, 0.07),
    )


def _apple() -> Outline:
    return (
        ellipse(-0.3, 0.2, 0.52, 0.68),
        ellipse(0.3, 0.2, 0.52, 0.68),
        stroke(bezier((0, -0.3), (0.0, -0.7), (0.15, -0.9)), 0.12),
        ellipse(0.4, -0.72, 0.28, 0.13),
    )


def _clock() -> Outline:
    return (
        ellipse(0, 0, 1),
        ellipse(0, 0, 0.82, hole=True),
        box(-0.06, -0.65, 0.06, 0.06),
        box(-0.06, -0.06, 0.45, 0.06),
    )


def _envelope() -> Outline:
    lid = np.array([[-1, -0.55], [0, 0.2], [1, -0.55]])
    return (box(-1, -0.68, 1, 0.68), stroke(lid, 0.12, hole=True))


def _face() -> Outline:
    smile = np.concatenate([arc(0, 0.1, 0.55, 0.55, 10, 170), arc(0, 0.1, 0.4, 0.35, 170, 10)])
    return (
        ellipse(0, 0, 1),
        ellipse(-0.36, -0.3, 0.15, hole=True),
        ellipse(0.36, -0.3, 0.15, hole=True),
        Part(smile, hole=True),
    )


def _cactus() -> Outline:
    left = np.array([[-0.7, -0.35], [-0.68, 0.1], [-0.5, 0.25], [0, 0.25]])
    right = np.array([[0.7, -0.55], [0.68, -0.15], [0.5, 0.0], [0, 0.0]])
    return (
        box(-0.22, -0.85, 0.22, 1),
        ellipse(0, -0.82, 0.22),
        stroke(left, 0.26),
        stroke(right, 0.26),
    )


def _ladder() -> Outline:
    rungs = tuple(box(-0.5, y, 0.5, y + 0.13) for y in (-0.75, -0.35, 0.05, 0.45))
    return (box(-0.55, -1, -0.4, 1), box(0.4, -1, 0.55, 1), *rungs)


def _candle() -> Outline:
    flame = np.concatenate([arc(0, -0.6, 0.2, 0.22, -20, 200, 20), np.array([[0.0, -1.1]])])
    return (
        box(-0.28, -0.15, 0.28, 0.85),
        box(-0.6, 0.8, 0.6, 1.0),
        Part(flame),
        box(-0.04, -0.4, 0.04, -0.1),
    )


def _sun() -> Outline:
    rays = []
    for a in np.radians(np.arange(0, 360, 45)):
        tip = np.array([np.cos(a), np.sin(a)])
        side = np.array([-np.sin(a), np.cos(a)]) * 0.16
        rays.append(Part(np.stack([tip, 0.62 * tip + side, 0.62 * tip - side])))
    return (ellipse(0, 0, 0.52), *rays)


def _bone() -> Outline:
    knobs = tuple(ellipse(x, y, 0.26) for x in (-0.75, 0.75) for y in (-0.2, 0.2))
    return (box(-0.75, -0.17, 0.75, 0.17), *knobs)


def _ghost() -> Outline:
    x = np.linspace(0.75, -0.75, 31)
    hem = np.stack([x, 0.85 + 0.15 * np.cos(x * np.pi / 0.25)], axis=1)
    return (
        Part(np.concatenate([arc(0, -0.2, 0.75, 0.8, 180, 360), hem])),
        ellipse(-0.28, -0.25, 0.15, 0.2, hole=True),
        ellipse(0.28, -0.25, 0.15, 0.2, hole=True),
    )


def _bolt() -> Outline:
    return (
        polygon((0.25, -1), (-0.55, 0.15), (-0.05, 0.15), (-0.3, 1), (0.55, -0.2), (0.05, -0.2)),
    )


def _crown() -> Outline:
    return (
        polygon(
            (-0.9, 0.7), (-1, -0.6), (-0.45, 0.05), (0, -0.8), (0.45, 0.05), (1, -0.6), (0.9, 0.7)
        ),
        box(-0.8, 0.4, 0.8, 0.5, hole=True),
    )


def _arrow() -> Outline:
    return (
        polygon(
            (-1, -0.2), (0.15, -0.2), (0.15, -0.65), (1, 0), (0.15, 0.65), (0.15, 0.2), (-1, 0.2)
        ),
    )


def _butterfly() -> Outline:
    wings = tuple(
        ellipse(s * x, y, rx, ry)
        for s in (-1, 1)
        for x, y, rx, ry in ((0.52, -0.35, 0.46, 0.5), (0.42, 0.45, 0.34, 0.4))
    )
    feelers = tuple(stroke([[0, -0.5], [s * 0.3, -1.0]], 0.07) for s in (-1, 1))
    return (*wings, box(-0.07, -0.6, 0.07, 0.8), *feelers)


def _bottle() -> Outline:
    return (
        box(-0.42, -0.15, 0.42, 1),
        polygon((-0.42, -0.14), (0.42, -0.14), (0.17, -0.5), (-0.17, -0.5)),
        box(-0.17, -1, 0.17, -0.45),
        box(-0.3, 0.2, 0.3, 0.65, hole=True),
    )


def _bow() -> Outline:
    return (
        polygon((0, 0), (-1, -0.6), (-1, 0.6)),
        polygon((0, 0), (1, -0.6), (1, 0.6)),
        ellipse(0, 0, 0.22),
    )


def _hammer() -> Outline:
    return (
        box(-0.1, -0.5, 0.1, 1),
        box(-0.65, -0.95, 0.5, -0.45),
        polygon((0.5, -0.95), (0.9, -0.5), (0.5, -0.45)),
    )


def _zigzag() -> Outline:
    return (
        stroke([[-1, 0.4], [-0.6, -0.4], [-0.2, 0.4], [0.2, -0.4], [0.6, 0.4], [1, -0.4]], 0.26),
    )


def _cross() -> Outline:
    return (box(-0.28, -1, 0.28, 1), box(-1, -0.28, 1, 0.28))


GLYPHS: Mapping[str, Callable[[], Outline]] = MappingProxyType(
    {
        "circle": lambda: (ellipse(0, 0, 0.95),),
        "square": lambda: (box(-0.85, -0.85, 0.85, 0.85),),
        "triangle": lambda: (regular(3),),
        "pentagon": lambda: (regular(5),),
        "hexagon": lambda: (regular(6, 0.0),),
        "diamond": lambda: (polygon((0, -1), (0.65, 0), (0, 1), (-0.65, 0)),),
        "oval": lambda: (ellipse(0, 0, 1, 0.55),),
        "rectangle": lambda: (box(-1, -0.5, 1, 0.5),),
        "star": lambda: (radial([1.0, 0.42] * 5),),
        "heart": _heart,
        "ring": lambda: (ellipse(0, 0, 1), ellipse(0, 0, 0.6, hole=True)),
        "cross": _cross,
        "arrow": _arrow,
        "crescent": _crescent,
        "semicircle": lambda: (Part(arc(0, 0.45, 1, 1, 180, 359.9)),),
        "drop": _drop,
        "chevron": lambda: (stroke([[-0.9, 0.5], [0, -0.4], [0.9, 0.5]], 0.42),),
        "bolt": _bolt,
        "gear": _gear,
        "cloud": _cloud,
        "flower": _flower,
        "leaf": _leaf,
        "spiral": _spiral,
        "zigzag": _zigzag,
        "trapezoid": lambda: (polygon((-0.45, -0.6), (0.45, -0.6), (1, 0.6), (-1, 0.6)),),
        "tree": _tree,
        "flag": _flag,
        "crown": _crown,
        "bell": _bell,
        "balloon": _balloon,
        "apple": _apple,
        "clock": _clock,
        "envelope": _envelope,
        "face": _face,
        "cactus": _cactus,
        "ladder": _ladder,
        "candle": _candle,
        "sun": _sun,
        "bone": _bone,
        "ghost": _ghost,
        "butterfly": _butterfly,
        "bottle": _bottle,
        "bow": _bow,
        "hammer": _hammer,
    }
)

_PLURALS = {"cross": "crosses", "leaf": "leaves", "cactus": "cactuses", "butterfly": "butterflies"}


def plural(name: str) -> str:
    """The plural of a glyph's name."""
    return _PLURALS.get(name, name + "s")
