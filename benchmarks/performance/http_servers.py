"""The servers that are compared: started together, and paused but for the one that is measured."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import httpx

from benchmarks.performance.load import Load, Target, closed_loop, open_loop, post
from benchmarks.performance.peers import MODEL
from benchmarks.performance.peers_process import Running

Form = Literal["raw", "infinity"]
"""How an image is sent: as the body of /classify, or as infinity takes it."""


@dataclass(frozen=True)
class Server:
    """One that can be measured, while the others are paused.

    Attributes:
        name: for people.
        running: its processes.
        target: the call that is measured.
    """

    name: str
    running: Running
    target: Target

    def closed(self, connections: int, seconds: float, warm: float) -> Load:
        """What so many callers get who wait for their answers."""
        with self.running.awake():
            return closed_loop(self.target, connections, seconds, warm)

    def open(self, rate: float, seconds: float, warm: float, seed: int = 0) -> Load:
        """What comes of requests at a rate."""
        with self.running.awake():
            return open_loop(self.target, rate, seconds, warm, seed=seed)

    def batches(self) -> tuple[float, float]:
        """Images and batches that the service has encoded until now. Raises KeyError: not ours."""
        with self.running.awake():
            url = f"{self.running.url}/metrics"
            text = httpx.get(url, timeout=10, trust_env=False, verify=False).text
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
        name = "xmadapter_batch_images"
        return float(values[f"{name}_sum"]), float(values[f"{name}_count"])


@contextmanager
def started(
    servers: Mapping[str, tuple[AbstractContextManager[Running], Form]], images: Sequence[bytes]
) -> Iterator[dict[str, Server]]:
    """Start servers one after another, each paused once it is ready; end them afterwards."""
    with ExitStack() as held:
        found = {}
        for name, (start, form) in servers.items():
            running = held.enter_context(start)
            found[name] = Server(name, running, _target(running, form, images))
            running.pause()
        yield found


def _target(running: Running, form: Form, images: Sequence[bytes]) -> Target:
    if form == "raw":
        url = f"{running.url}/classify"
        return Target(url, [post(url, image, "image/jpeg") for image in images], running.pid)
    url = f"{running.url}/embeddings"
    bodies = [_infinity_body(image) for image in images]
    return Target(url, [post(url, body, "application/json") for body in bodies], running.pid)


def _infinity_body(image: bytes) -> bytes:
    data = base64.b64encode(image).decode()
    question = {
        "model": MODEL,
        "modality": "image",
        "input": [f"data:image/jpeg;base64,{data}"],
    }
    return json.dumps(question).encode()
