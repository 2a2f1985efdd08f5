"""Colours and the patterns that fill a ground or a glyph."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

RGB = tuple[int, int, int]
Pixels = NDArray[np.uint8]

COLOURS: Mapping[str, RGB] = MappingProxyType(
    {
        "red": (214, 40, 40),
        "orange": (243, 132, 25),
        "yellow": (246, 211, 45),
        "green": (46, 160, 67),
        "cyan": (52, 201, 209),
        "blue": (37, 89, 208),
        "purple": (128, 62, 178),
        "pink": (245, 140, 184),
        "brown": (125, 78, 42),
        "black": (24, 24, 27),
        "gray": (134, 138, 144),
        "white": (248, 248, 246),
    }
)

PATTERNS = ("plain", "shaded", "noisy", "striped", "checkered", "spotted")


def vary(colour: RGB, rng: np.random.Generator, spread: float = 14.0) -> RGB:
    """`colour` moved a little, so that a name covers a neighbourhood and not one value."""
    moved = np.asarray(colour) + rng.normal(0.0, spread / 2, 3) + rng.normal(0.0, spread / 2)
    r, g, b = (int(v) for v in np.clip(moved, 0, 255))
    return r, g, b


def blend(a: RGB, b: RGB, share: float) -> RGB:
    """The mixture with `share` of `b`, in [0, 1]."""
    r, g, c = (round((1 - share) * x + share * y) for x, y in zip(a, b, strict=True))
    return r, g, c


def shade(colour: RGB, share: float) -> RGB:
    """A second tone of `colour`: darker where it is light, lighter where it is dark."""
    light = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 110
    return blend(colour, (0, 0, 0) if light else (255, 255, 255), share)


def distance(a: RGB, b: RGB) -> float:
    """Euclidean distance of two colours, 0 to 441."""
    return float(np.linalg.norm(np.subtract(a, b)))


def pattern(
    kind: str, size: int, first: RGB, second: RGB, period: float, rng: np.random.Generator
) -> Pixels:
    """(size, size, 3) pixels of one of `PATTERNS` in two tones; `period` in pixels."""
    share = _share(kind, size, period, rng)
    if share is None:
        return np.broadcast_to(np.asarray(first, np.uint8), (size, size, 3)).copy()
    a, b = np.asarray(first, np.float32), np.asarray(second, np.float32)
    return (a + share[..., None] * (b - a)).astype(np.uint8)


def _share(
    kind: str, size: int, period: float, rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """(size, size) share of the second tone, or None where there is only the first."""
    if kind == "plain":
        return None
    if kind == "noisy":
        cells = max(4, round(size / max(1.0, period / 4)))
        grain = rng.random((cells, cells), dtype=np.float32)
        at = np.arange(size) * cells // size
        return grain[at][:, at]
    angle = rng.uniform(0, np.pi) if kind in ("shaded", "striped") else rng.uniform(-0.4, 0.4)
    axis = np.arange(size, dtype=np.float32) - size / 2
    u = axis[None, :] * np.float32(np.cos(angle)) + axis[:, None] * np.float32(np.sin(angle))
    if kind == "shaded":
        span = u.max() - u.min()
        return np.asarray((u - u.min()) / span, dtype=np.float32)
    u = (u / period + rng.random()) % 1.0
    if kind == "striped":
        return (u < 0.5).astype(np.float32)
    v = axis[:, None] * np.float32(np.cos(angle)) - axis[None, :] * np.float32(np.sin(angle))
    v = (v / period + rng.random()) % 1.0
    if kind == "checkered":
        return ((u < 0.5) ^ (v < 0.5)).astype(np.float32)
    if kind == "spotted":
        return (((u - 0.5) ** 2 + (v - 0.5) ** 2) < 0.09).astype(np.float32)
    raise ValueError(f"expected one of {PATTERNS}, got {kind!r}")
