"""A decoded picture, the right way up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adapter.orientation import UPRIGHT

_FIRST_TRANSPOSED = 5
_MIRRORED = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}
"""EXIF's orientation -> the axes (0: rows, 1: columns) that are turned round to be upright."""


@dataclass(frozen=True)
class Picture:
    """RGB, upright.

    Attributes:
        pixels: (3, h, w) uint8.
        height: as sent, but upright; h unless it was decoded at a smaller scale.
        width: likewise.
        scale: 1, or what it was divided by while it was decoded: 2, 4 or 8. The last row and
            column of `pixels` stand for what is left of `height` and `width`.
    """

    pixels: Tensor
    height: int
    width: int
    scale: int = 1

    @property
    def rows(self) -> np.ndarray:
        """(h, w, 3), of the same memory as `pixels`."""
        rows: np.ndarray = self.pixels.permute(1, 2, 0).numpy()
        return rows

    @classmethod
    def of_rows(cls, rows: np.ndarray, orientation: int = UPRIGHT) -> Picture:
        """From (h, w, 3) uint8 of its full size, as stored, and EXIF's orientation of it."""
        pixels = _upright(rows, orientation)
        return cls(pixels, pixels.shape[1], pixels.shape[2])

    @classmethod
    def of_pillow(cls, image: Image.Image, orientation: int = UPRIGHT) -> Picture:
        """From Pillow's, of whatever mode that it can make RGB of."""
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        return cls.of_rows(np.array(rgb), orientation)

    @classmethod
    def of_scaled_rows(
        cls, rows: np.ndarray, size: tuple[int, int], scale: int, orientation: int = UPRIGHT
    ) -> Picture:
        """From (h, w, 3) uint8 decoded at 1 / `scale`; `size` is its (height, width) as stored.

        If an orientation turns it, `size` is a multiple of `scale`.
        """
        height, width = size if orientation < _FIRST_TRANSPOSED else (size[1], size[0])
        return cls(_upright(rows, orientation), height, width, scale)


def _upright(rows: np.ndarray, orientation: int) -> Tensor:
    # By NumPy: torch would wake a team of threads for a copy of this size.
    if orientation >= _FIRST_TRANSPOSED:
        rows = rows.transpose(1, 0, 2)
    turned = np.flip(rows, _MIRRORED.get(orientation, ()))
    return torch.from_numpy(np.ascontiguousarray(turned)).permute(2, 0, 1)
