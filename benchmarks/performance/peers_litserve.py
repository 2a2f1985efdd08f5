"""The shipped model behind LitServe, with its batching. Runs in LitServe's own environment."""

# LitServe reads annotations as they are, so they must not be strings.

import argparse
import os
from pathlib import Path
from typing import Annotated

import litserve
import torch
from fastapi import Body
from torch import Tensor

from benchmarks.performance.peers_model import Answer, Classifier
from benchmarks.performance.peers_plain import CACHE


class Classify(litserve.LitAPI):  # type: ignore[misc]
    """`POST /classify`, raw images in, answers out; batches are decoded and encoded in a worker."""

    def setup(self, device: str) -> None:
        """Load the model, in a worker."""
        threads = (os.cpu_count() or 1) // int(os.environ["PEER_WORKERS"])
        torch.set_num_threads(max(threads, 1))
        self._classifier = Classifier(Path(os.environ[CACHE]))

    def decode_request(self, request: Annotated[bytes, Body(media_type="image/jpeg")]) -> Tensor:
        """An image to normalised pixels (3, H, W)."""
        return self._classifier.pixels(request)

    def batch(self, inputs: list[Tensor]) -> Tensor:
        """Pixels of B images to (B, 3, H, W)."""
        return torch.stack(inputs)

    def predict(self, x: Tensor) -> list[Answer]:
        """Pixels (B, 3, H, W) to an answer each."""
        return self._classifier.answers(self._classifier.features(x))

    def unbatch(self, output: list[Answer]) -> list[Answer]:
        """As they are."""
        return output

    def encode_response(self, output: Answer) -> Answer:
        """As it is."""
        return output


def main() -> None:
    """Serve until it is stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--wait", type=float, required=True, help="seconds")
    parser.add_argument("--fast-queue", action="store_true")
    parser.add_argument("--servers", type=int, required=True)
    given = parser.parse_args()
    os.environ["PEER_WORKERS"] = str(given.workers)
    api = Classify(max_batch_size=given.batch, batch_timeout=given.wait, api_path="/classify")
    server = litserve.LitServer(
        api,
        accelerator="cpu",
        workers_per_device=given.workers,
        fast_queue=given.fast_queue,
    )
    server.run(
        host="127.0.0.1",
        port=given.port,
        num_api_servers=given.servers,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
