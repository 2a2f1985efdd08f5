"""An encoder without weights that takes its time."""

from __future__ import annotations

import time

from torch import Tensor

from adapter.encoder import PixelEncoder


class SlowEncoder(PixelEncoder):
    """Each batch of images takes so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def encode_images(self, pixels: Tensor) -> Tensor:
        time.sleep(self._seconds)
        return super().encode_images(pixels)
