"""The shipped model behind plain FastAPI: one call of the model a request.

As FastAPI's documentation recommends for work that blocks, the endpoint is a plain function, which
runs in the thread pool. The image is the raw body, the cheapest way for it to come.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Annotated

import torch
import uvicorn
from fastapi import Body, FastAPI

from benchmarks.performance.peers_model import Answer, Classifier

CACHE = "PEER_CACHE"
"""The environment variable that names the cache's folder: uvicorn's workers inherit it."""


def create_app() -> FastAPI:
    """The whole service."""
    # Requests run side by side already: each using all cores again makes it a third slower.
    torch.set_num_threads(1)
    app = FastAPI()
    classifier = Classifier(Path(os.environ[CACHE]))

    @app.post("/classify")
    def classify(image: Annotated[bytes, Body(media_type="image/jpeg")]) -> Answer:
        pixels = classifier.pixels(image)
        return classifier.answers(classifier.features(pixels[None]))[0]

    @app.get("/health")
    def health() -> str:
        return "ok"

    return app


def main() -> None:
    """Serve until it is stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    uvicorn.run(
        f"{__spec__.name}:create_app",
        factory=True,
        host="127.0.0.1",
        port=given.port,
        workers=given.workers,
        access_log=False,
    )


if __name__ == "__main__":
    main()
