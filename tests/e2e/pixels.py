"""`xmadapter serve` with the encoder without weights; settings come from the environment.

    python -m tests.e2e.pixels [SECONDS]

SECONDS is how long each batch of images takes, so that a test can catch it at work.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from service.server import serve
from service.settings import load_settings
from service.worker import work

if TYPE_CHECKING:
    from tests.e2e.slow_encoder import SlowEncoder


def main(seconds: str = "0.0", *given: str) -> None:
    """Serve, or be a worker of that."""
    if given:
        work(given, encoder(seconds))
        return
    settings = load_settings()
    # The supervisor of several workers has no use for torch, as with a real model.
    own = encoder(seconds) if settings.workers == 1 else None
    serve(settings, own, ("-m", "tests.e2e.pixels", seconds))


def encoder(seconds: str) -> SlowEncoder:
    """The encoder of one process."""
    from tests.e2e.slow_encoder import SlowEncoder

    return SlowEncoder(float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
