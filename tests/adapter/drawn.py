"""Drawn pictures, and files of them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image


def photograph(width: int = 60, height: int = 40) -> Image.Image:
    """Smooth colours, different in every corner, so that no flip of it looks the same."""
    rows, columns = np.mgrid[0:height, 0:width]
    red, green = rows * 255 / max(1, height - 1), columns * 255 / max(1, width - 1)
    return Image.fromarray(np.stack([red, green, 255 - red], axis=-1).astype(np.uint8))


def noise(width: int, height: int) -> Image.Image:
    """Sharp edges everywhere, in all colours."""
    generator = np.random.default_rng(width * height)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()
