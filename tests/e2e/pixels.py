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
from service.worker import work


class SlowEncoder(PixelEncoder):
    """Takes its time."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def encode_images(self, pixels: Tensor) -> Tensor:
        time.sleep(self._seconds)
        return super().encode_images(pixels)


def main(seconds: str = "0.0", *given: str) -> None:
    """Serve, or be a worker of that."""
    encoder = SlowEncoder(float(seconds))
    if given:
        work(given, encoder)
    else:
        serve(load_settings(), encoder, ("-m", "tests.e2e.pixels", seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
