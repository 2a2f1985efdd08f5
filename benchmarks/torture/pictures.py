"""Pictures that are cheap to make: as many as one likes, each its own bytes and its own look."""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache

import numpy as np
from PIL import Image

GRID = 4
"""Squares a side: what the encoder without weights tells apart."""


@lru_cache(maxsize=4096)
def picture(number: int, side: int = 32, form: str = "PNG") -> bytes:
    """The picture of this number: squares of random colours, `side` pixels wide and high."""
    colours = np.random.default_rng(number).integers(0, 256, (GRID, GRID, 3), dtype=np.uint8)
    image = Image.fromarray(colours).resize((side, side), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    """Checksum of an image's bytes, in hex, as the service lists it."""
    return hashlib.sha256(data).hexdigest()


NO_PICTURE = picture(0)[:60]
"""Begins as a PNG file, and breaks off."""
