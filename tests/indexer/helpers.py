"""Small makers that several tests of the indexer share."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from adapter.encoder import PixelEncoder
from indexer.cache import NewShot

WIDTH = PixelEncoder().width


def directions(count: int, seed: int, width: int = WIDTH) -> Tensor:
    """(count, width) unit rows."""
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, width, generator=generator), dim=1)


def new_shot(seed: int, near: int | None = None, caption: str | None = None) -> NewShot:
    """A shot of its own bytes; `near` one of some well separated directions, if given."""
    feature = directions(1, seed)[0]
    if near is not None:
        feature = 0.4 * feature + directions(1, 10_000 + near)[0]
    return NewShot(feature, hashlib.sha256(f"shot {seed}".encode()).hexdigest(), caption)


def new_shots(seeds: Sequence[int], near: int | None = None) -> list[NewShot]:
    """Several of `new_shot`."""
    return [new_shot(seed, near) for seed in seeds]


def png(colour: tuple[int, int, int], seed: int = 0, edge: int = 40) -> bytes:
    """A PNG of about this colour, different for each seed."""
    rng = np.random.default_rng(seed)
    pixels = np.clip(np.array(colour) + rng.integers(-30, 30, (edge, edge, 3)), 0, 255)
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()
