"""`xmadapter serve` with the encoder without weights; settings come from the environment.

    python -m tests.e2e.pixels [SECONDS]

SECONDS is how long each batch of images takes, so that a test can catch it at work.
"""

from __future__ import annotations

import sys
import time

from torch import Tensor

from adapter.encoder import PixelEncoder
from service.server import serve
from service.settings import load_settings


class SlowEncoder(PixelEncoder):
    """Takes its time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def encode_images(self, pixels: Tensor) -> Tensor:
        time.sleep(self._seconds)
        return super().encode_images(pixels)


if __name__ == "__main__":
    serve(load_settings(), SlowEncoder(float(sys.argv[1]) if sys.argv[1:] else 0.0))
