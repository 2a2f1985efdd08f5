"""The demo's things: layered drawings that the pre-training neither renders nor names."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from adapter.drawings.outline import Part, Points, arc, bezier, box, ellipse, polygon, stroke

Role = Literal["main", "second", "third", "dark", "light"]
Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Layer:
    """One polygon in the colour of its role, painted over the layers before it."""

    part: Part
    role: Role
    thin: bool = False
    """Painted without a contour of its own."""


Layers = list[Layer]


def _joined(*lines: Points) -> Part:
    return Part(np.concatenate(lines))


def _anchor(rng: Rng) -> Layers:
    w, spread = rng.uniform(0.17, 0.24), rng.uniform(0.7, 0.9)
    bow = stroke(arc(0, 0.1, spread, 0.8, 15, 165, 32), w)
    layers = [Layer(bow, "main")]
    for s in (-1, 1):
        x = s * spread * 0.97
        tip = polygon((x - 0.28, 0.42), (x + s * 0.08, -0.02), (x + 0.28, 0.42))
        layers.append(Layer(tip, "main"))
    layers += [
        Layer(box(-w / 2, -0.6, w / 2, 0.92), "main"),
        Layer(box(-0.45, -0.47, 0.45, -0.47 + w * 0.9), "second"),
        Layer(stroke(arc(0, -0.78, 0.2, 0.2, 0, 359, 28), 0.12), "main"),
    ]
    return layers


def _fish(rng: Rng) -> Layers:
    plump, tail = rng.uniform(0.42, 0.6), rng.uniform(0.4, 0.62)
    body = _joined(
        bezier((-0.62, 0), (-0.1, -plump * 1.6), (0.6, -plump), (0.98, 0.03)),
        bezier((0.98, 0.03), (0.6, plump), (-0.1, plump * 1.6), (-0.62, 0)),
    )
    layers = [
        Layer(polygon((-0.45, 0), (-1, -tail), (-0.84, 0), (-1, tail)), "second"),
        Layer(polygon((-0.15, -plump * 0.7), (0.15, -plump * 1.5), (0.4, -plump * 0.7)), "second"),
        Layer(body, "main"),
        Layer(Part(stroke(arc(0.38, 0, 0.24, plump * 0.75, 110, 250), 0.07).points), "dark", True),
        Layer(ellipse(0.66, -0.1, 0.12), "light", True),
        Layer(ellipse(0.68, -0.1, 0.06), "dark", True),
    ]
    stripes = np.linspace(-0.25, 0.1, int(rng.integers(0, 4)))
    scales = [stroke(arc(x, 0, 0.14, plump * 0.5, -70, 70, 12), 0.06) for x in stripes]
    return layers + [Layer(part, "third", True) for part in scales]


def _hourglass(rng: Rng) -> Layers:
    w, sand = rng.uniform(0.5, 0.64), rng.uniform(0.15, 0.5)
    bulb = _joined(
        bezier((-w, -0.8), (-w, -0.2), (-0.06, -0.25), (-0.06, 0)),
        bezier((-0.06, 0), (-0.06, 0.25), (-w, 0.2), (-w, 0.8)),
        bezier((w, 0.8), (w, 0.2), (0.06, 0.25), (0.06, 0)),
        bezier((0.06, 0), (0.06, -0.25), (w, -0.2), (w, -0.8)),
    )
    level = 0.78 - sand
    return [
        Layer(bulb, "light"),
        Layer(polygon((-w * 0.85, 0.78), (0, level), (w * 0.85, 0.78)), "second", True),
        Layer(
            polygon((-w * 0.6, -0.42), (w * 0.6, -0.42), (0.05, -0.06), (-0.05, -0.06)),
            "second",
            True,
        ),
        Layer(box(-0.025, -0.1, 0.025, 0.75), "second", True),
        Layer(box(-w - 0.14, -1, w + 0.14, -0.78), "main"),
        Layer(box(-w - 0.14, 0.78, w + 0.14, 1), "main"),
    ]


def _house(rng: Rng) -> Layers:
    w, eaves, top = rng.uniform(0.6, 0.8), rng.uniform(-0.25, -0.05), rng.uniform(-1, -0.8)
    door = rng.uniform(-0.35, 0.15)
    layers = [Layer(box(-w, eaves, w, 0.9), "main")]
    if rng.random() < 0.7:
        x = rng.choice([-0.45, 0.3]) * w / 0.7
        layers.insert(0, Layer(box(x, top - 0.05, x + 0.2, eaves), "third"))
    layers += [
        Layer(polygon((-w - 0.2, eaves + 0.05), (0, top), (w + 0.2, eaves + 0.05)), "second"),
        Layer(box(door, 0.3, door + 0.3, 0.9), "third"),
    ]
    windows = [x for x in (-0.45, 0.0, 0.42) if abs(x - door - 0.15) > 0.32]
    for x in windows[: int(rng.integers(1, 3))]:
        layers.append(Layer(box(x - 0.13, 0.12, x + 0.13, 0.4), "light"))
        layers.append(Layer(box(x - 0.02, 0.12, x + 0.02, 0.4), "dark", True))
    return layers


def _key(rng: Rng) -> Layers:
    r, w = rng.uniform(0.34, 0.42), rng.uniform(0.15, 0.2)
    layers = [
        Layer(box(-0.4, -w / 2, 0.98, w / 2), "main"),
        Layer(stroke(arc(-0.58, 0, r, r * rng.uniform(0.85, 1.05), 0, 359.5, 40), 0.21), "main"),
    ]
    teeth = np.linspace(0.5, 0.9, int(rng.integers(2, 4)))
    bits = [box(x - 0.06, 0.0, x + 0.06, rng.uniform(0.28, 0.45)) for x in teeth]
    collar = box(-0.22, -w / 2 - 0.06, -0.1, w / 2 + 0.06)
    return [*layers, *(Layer(bit, "main") for bit in bits), Layer(collar, "second")]


def _lighthouse(rng: Rng) -> Layers:
    low, high = rng.uniform(0.36, 0.46), rng.uniform(0.22, 0.28)
    bands = int(rng.integers(3, 6))
    edges = np.linspace(0.92, -0.42, bands + 1)
    layers: Layers = []
    for k in (-1, 1):
        if rng.random() < 0.6:
            beam = polygon((0, -0.62), (k * 1.1, -0.88), (k * 1.1, -0.4))
            layers.append(Layer(beam, "third", True))

    def half(y: float) -> float:
        return high + (low - high) * (y + 0.42) / 1.34

    for i, (b, t) in enumerate(itertools.pairwise(edges)):
        band = polygon((-half(b), b), (half(b), b), (half(t), t), (-half(t), t))
        layers.append(Layer(band, "main" if i % 2 == 0 else "light"))
    layers += [
        Layer(box(-high - 0.1, -0.5, high + 0.1, -0.4), "dark", True),
        Layer(box(-0.17, -0.76, 0.17, -0.48), "third"),
        Layer(polygon((-0.26, -0.74), (0, -1.02), (0.26, -0.74)), "second"),
        Layer(box(-low - 0.25, 0.88, low + 0.25, 1.0), "second"),
    ]
    return layers


def _mug(rng: Rng) -> Layers:
    w, taper = rng.uniform(0.48, 0.58), rng.uniform(0.0, 0.1)
    grip = stroke(arc(w - 0.05, 0.15, 0.36, 0.4, -88, 88, 24), 0.16)
    cup = polygon((-w, -0.5), (w, -0.5), (w - taper, 0.85), (taper - w, 0.85))
    layers = [
        Layer(grip, "main"),
        Layer(cup, "main"),
        Layer(ellipse(0, -0.5, w, 0.15), "third"),
    ]
    if rng.random() < 0.5:
        layers.append(Layer(box(-w + 0.03, 0.05, w - 0.05, 0.35), "second", True))
    if rng.random() < 0.7:
        for x in (-0.22, 0.14):
            steam = bezier((x, -0.62), (x + 0.25, -0.75), (x - 0.2, -0.9), (x + 0.06, -1.08))
            layers.append(Layer(stroke(steam, 0.07), "second", True))
    return layers


def _mushroom(rng: Rng) -> Layers:
    rise, stem = rng.uniform(0.8, 1.0), rng.uniform(0.2, 0.32)
    trunk = _joined(
        bezier((-stem * 0.8, 0), (-stem * 0.8, 0.5), (-stem * 1.3, 0.8), (-stem * 1.2, 0.95)),
        bezier((stem * 1.2, 0.95), (stem * 1.3, 0.8), (stem * 0.8, 0.5), (stem * 0.8, 0)),
    )
    cap = _joined(
        arc(0, 0.02, 0.92, rise, 180, 360, 40),
        bezier((0.92, 0.02), (0.4, 0.22), (-0.4, 0.22), (-0.92, 0.02)),
    )
    layers = [Layer(trunk, "light"), Layer(cap, "main")]
    for x, y in ((-0.5, -0.22), (0.02, -0.5), (0.48, -0.2), (-0.1, -0.1))[: rng.integers(2, 5)]:
        layers.append(Layer(ellipse(x, y, rng.uniform(0.1, 0.17)), "light", True))
    return layers


def _sailboat(rng: Rng) -> Layers:
    hull = rng.uniform(0.78, 0.95)
    mast = rng.uniform(-0.08, 0.1)
    layers = [
        Layer(box(mast - 0.04, -1, mast + 0.04, 0.5), "dark", True),
        Layer(
            _joined(
                bezier((mast + 0.07, -0.92), (0.55, -0.4), (0.8, 0.25)),
                np.array([[mast + 0.07, 0.32]]),
            ),
            "second",
        ),
        Layer(
            polygon((mast - 0.07, -0.7), (mast - 0.07, 0.32), (-0.66, 0.3)),
            "third" if rng.random() < 0.5 else "light",
        ),
        Layer(
            polygon((-hull, 0.45), (hull, 0.45), (hull - 0.3, 0.85), (0.25 - hull, 0.85)), "main"
        ),
    ]
    if rng.random() < 0.6:
        x = np.linspace(-1.05, 1.05, 40)
        layers.append(
            Layer(stroke(np.stack([x, 0.92 + 0.05 * np.sin(x * 12)], 1), 0.1), "third", True)
        )
    return layers


def _snail(rng: Rng) -> Layers:
    turns = rng.uniform(2.1, 2.7)
    t = np.linspace(0.4, turns * 2 * np.pi, 80)
    coil = np.stack([0.05 + t / t.max() * 0.5 * np.cos(t), -0.1 + t / t.max() * 0.5 * np.sin(t)], 1)
    body = _joined(
        np.array([[-1.0, 0.78]]),
        bezier((-0.9, 0.6), (-0.2, 0.3), (0.5, 0.75), (0.6, -0.1)),
        arc(0.76, -0.2, 0.18, 0.2, 200, 380, 14),
        bezier((0.95, -0.05), (0.95, 0.5), (0.8, 0.78), (0.6, 0.78)),
    )
    layers = [Layer(body, "second"), Layer(ellipse(0.02, -0.08, 0.62), "main")]
    layers.append(Layer(stroke(coil, 0.1), "dark", True))
    for x in (0.7, 0.88):
        layers.append(Layer(stroke([[x, -0.35], [x + 0.08, -0.72]], 0.06), "second", True))
        layers.append(Layer(ellipse(x + 0.08, -0.76, 0.07), "dark", True))
    return layers


def _teapot(rng: Rng) -> Layers:
    plump = rng.uniform(0.48, 0.58)
    spout = _joined(
        bezier((0.42, 0.42), (0.75, 0.35), (0.72, -0.1), (1.05, -0.32)),
        bezier((0.86, -0.4), (0.6, -0.25), (0.6, 0.0), (0.4, 0.02)),
    )
    layers = [
        Layer(stroke(arc(-0.56, 0.12, 0.36, 0.38, 75, 285, 26), 0.15), "main"),
        Layer(spout, "main"),
        Layer(ellipse(0, 0.2, 0.66, plump), "main"),
        Layer(_joined(arc(0, -0.18, 0.4, 0.24, 180, 360)), "second"),
        Layer(ellipse(0, -0.5, 0.11), "second"),
        Layer(box(-0.36, plump + 0.12, 0.36, plump + 0.26), "second"),
    ]
    if rng.random() < 0.6:
        layers += [Layer(ellipse(x, 0.22, 0.1), "light", True) for x in (-0.3, 0.0, 0.3)]
    return layers


def _umbrella(rng: Rng) -> Layers:
    rise, lobes = rng.uniform(0.78, 0.95), int(rng.integers(3, 5))
    x = np.linspace(0.95, -0.95, 60)
    hem = -0.02 - 0.14 * np.abs(np.sin((x / 0.95 + 1) / 2 * lobes * np.pi))
    canopy = _joined(arc(0, 0, 0.95, rise, 180, 360, 40), np.stack([x, hem], axis=1))
    crook = np.concatenate(
        [[[0.0, -0.1], [0.0, 0.3], [0.0, 0.75]], arc(0.17, 0.78, 0.17, 0.17, 180, 20, 12)]
    )
    layers = [Layer(stroke(crook, 0.09), "third"), Layer(canopy, "main")]
    edges = np.linspace(-0.95, 0.95, lobes + 1)
    for i in range(lobes):
        if i % 2:
            panel = _joined(
                bezier((0.0, -rise), (edges[i] * 0.8, -rise * 0.7), (edges[i], -0.02)),
                bezier((edges[i + 1], -0.02), (edges[i + 1] * 0.8, -rise * 0.7), (0.0, -rise)),
            )
            layers.append(Layer(panel, "second", True))
    layers.append(Layer(box(-0.04, -rise - 0.12, 0.04, -rise + 0.02), "third", True))
    return layers


def _rocket(rng: Rng) -> Layers:
    w = rng.uniform(0.26, 0.36)
    body = _joined(
        bezier((0, -1.05), (-w * 1.6, -0.5), (-w * 1.2, 0.1), (-w * 0.8, 0.5)),
        bezier((w * 0.8, 0.5), (w * 1.2, 0.1), (w * 1.6, -0.5), (0, -1.05)),
    )
    flame = rng.uniform(0.85, 1.1)
    layers = [
        Layer(polygon((-w * 0.6, 0.5), (0, flame), (w * 0.6, 0.5)), "third"),
        Layer(polygon((-w * 0.7, 0.0), (-w - 0.35, 0.7), (-w * 0.6, 0.48)), "second"),
        Layer(polygon((w * 0.7, 0.0), (w + 0.35, 0.7), (w * 0.6, 0.48)), "second"),
        Layer(body, "main"),
        Layer(ellipse(0, -0.35, 0.15), "light"),
    ]
    if rng.random() < 0.5:
        layers.append(Layer(ellipse(0, 0.08, 0.09), "light"))
    return layers


THINGS: Mapping[str, Callable[[Rng], Layers]] = MappingProxyType(
    {
        "anchor": _anchor,
        "fish": _fish,
        "hourglass": _hourglass,
        "house": _house,
        "key": _key,
        "lighthouse": _lighthouse,
        "mug": _mug,
        "mushroom": _mushroom,
        "sailboat": _sailboat,
        "snail": _snail,
        "teapot": _teapot,
        "umbrella": _umbrella,
        "rocket": _rocket,
    }
)
