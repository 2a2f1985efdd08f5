"""Outlines: polygons in the unit frame, x to the right and y downwards, both from -1 to 1."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Part:
    """One polygon of a glyph: `points` (N, 2); a `hole` is cut out of the parts before it."""

    points: Points
    hole: bool = False


def polygon(*corners: tuple[float, float], hole: bool = False) -> Part:
    """A polygon through `corners`."""
    return Part(np.asarray(corners, dtype=np.float64), hole)


def ellipse(
    x: float, y: float, rx: float, ry: float | None = None, hole: bool = False, sides: int = 48
) -> Part:
    """An ellipse about (x, y); a circle when `ry` is left out."""
    return Part(arc(x, y, rx, rx if ry is None else ry, 0.0, 360.0, sides), hole)


def box(left: float, top: float, right: float, bottom: float, hole: bool = False) -> Part:
    """An upright rectangle."""
    return polygon((left, top), (right, top), (right, bottom), (left, bottom), hole=hole)


def regular(sides: int, turn: float = -90.0, radius: float = 1.0) -> Part:
    """A regular polygon, its first corner at `turn` degrees."""
    return Part(arc(0, 0, radius, radius, turn, turn + 360.0, sides))


def arc(
    x: float, y: float, rx: float, ry: float, start: float, stop: float, steps: int = 24
) -> Points:
    """(steps, 2) points of an ellipse from `start` to `stop` degrees, a full turn left open."""
    closed = abs(stop - start) >= 360.0
    angles = np.radians(np.linspace(start, stop, steps, endpoint=not closed))
    return np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], axis=1)


def stroke(points: ArrayLike, width: float, hole: bool = False) -> Part:
    """The band of `width` along an open line of `points` (N, 2)."""
    line = np.asarray(points, dtype=np.float64)
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    aside = np.stack([-along[:, 1], along[:, 0]], axis=1) * width / 2
    return Part(np.concatenate([line + aside, (line - aside)[::-1]]), hole)


def bezier(*controls: tuple[float, float], steps: int = 20) -> Points:
    """(steps, 2) points of the Bezier curve with the given control points."""
    level: Sequence[Points] = [np.asarray(c, dtype=np.float64)[None, :] for c in controls]
    t = np.linspace(0.0, 1.0, steps)[:, None]
    while len(level) > 1:
        level = [(1 - t) * a + t * b for a, b in itertools.pairwise(level)]
    return level[0]


def radial(radii: ArrayLike, turn: float = -90.0) -> Part:
    """A star-like polygon: the k-th corner at `radii[k]`, corners evenly spaced."""
    lengths = np.asarray(radii, dtype=np.float64)
    angles = np.radians(turn + 360.0 * np.arange(len(lengths)) / len(lengths))
    return Part(np.stack([lengths * np.cos(angles), lengths * np.sin(angles)], axis=1))


def place(
    points: Points, x: float, y: float, scale: float, turn: float, stretch: float = 1.0
) -> Points:
    """`points` stretched along x, turned by `turn` degrees, scaled and moved to (x, y)."""
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    stretched = points * np.array([stretch, 1.0 / stretch])
    placed: Points = scale * stretched @ np.array([[c, s], [-s, c]]) + np.array([x, y])
    return placed
