"""What a service on a device answers: single photographs, batch calls, and callers by the dozen."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from PIL import Image

from adapter.encoder import Encoder
from benchmarks.performance.inputs import drawn
from benchmarks.performance.load import Target, closed_loop, open_loop, post
from benchmarks.server import serving
from benchmarks.torture.start import fill

SIZE = (500, 375)
PART = 0.7
"""Of its peak, at which a service's latency counts."""


@dataclass(frozen=True)
class Effort:
    """How much load is sent.

    Attributes:
        seconds: of each load, after a second that warms up.
        rounds: of each load.
        connections: that keep a service busy.
        callers: that a batch of one is compared at.
        batch: images of a batch call.
        batch_callers: who send such calls at once.
        shots: in the cache.
    """

    seconds: float = 5.0
    rounds: int = 3
    connections: int = 256
    callers: int = 64
    batch: int = 128
    batch_callers: int = 16
    shots: int = 16_000


@dataclass
class Served:
    """What was measured of one service.

    Attributes:
        rates: answers a second at its peak, in each round.
        p99: ms at `PART` of that, in an open loop, in each round.
        batch_rates: images a second of batch calls, in each round.
        failed: requests without a good answer.
    """

    rates: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    batch_rates: list[float] = field(default_factory=list)
    failed: int = 0


def of_size(photographs: Sequence[bytes], size: tuple[int, int] = SIZE) -> list[bytes]:
    """The photographs of this size, upright or lying; drawn ones where there is none."""
    kept = []
    for data in photographs:
        with Image.open(io.BytesIO(data)) as picture:
            if sorted(picture.size) == sorted(size):
                kept.append(data)
    return kept or list(drawn(8, *size))


@contextmanager
def service(
    folder: Path, encoder: Encoder, effort: Effort, *arguments: str
) -> Iterator[tuple[str, int]]:
    """The address and process of a service with `effort.shots`, its numbers fitted."""
    cache = folder / "cache"
    if not cache.exists():
        fill(cache, encoder, effort.shots)
    with serving(cache, *arguments) as server:
        server.settle()
        yield server.url, server.pid


def peak(
    url: str, pid: int, photographs: Sequence[bytes], effort: Effort, connections: int
) -> Served:
    """Single photographs as raw bodies, from so many callers at once."""
    target = _target(f"{url}/classify", photographs, pid)
    served = Served()
    for _ in range(effort.rounds):
        load = closed_loop(target, connections, effort.seconds)
        served.rates.append(load.rate)
        served.failed += load.failed
    return served


def add_latency(
    served: Served, url: str, pid: int, photographs: Sequence[bytes], effort: Effort
) -> None:
    """The 99th percentile at `PART` of the peak that `served` has, into `served`."""
    target = _target(f"{url}/classify", photographs, pid)
    rate = PART * sorted(served.rates)[len(served.rates) // 2]
    for seed in range(effort.rounds):
        load = open_loop(target, rate, effort.seconds, seed=seed)
        served.p99.append(load.milliseconds(0.99))
        served.failed += load.failed


def batch_calls(url: str, pid: int, photographs: Sequence[bytes], effort: Effort) -> Served:
    """Calls of many photographs each."""
    many = [photographs[at % len(photographs)] for at in range(effort.batch)]
    body, content_type = form(many)
    call = f"{url}/classify/batch"
    target = Target(call, [post(call, body, content_type)], pid)
    served = Served()
    for _ in range(effort.rounds):
        load = closed_loop(target, effort.batch_callers, effort.seconds)
        served.batch_rates.append(effort.batch * load.rate)
        served.failed += load.failed
    return served


def form(photographs: Sequence[bytes]) -> tuple[bytes, str]:
    """A multipart body with each photograph as `image`, and its content type."""
    boundary = uuid4().hex
    parts = [
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="image"; filename="{at}.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
        + data
        for at, data in enumerate(photographs)
    ]
    body = b"\r\n".join([*parts, f"--{boundary}--\r\n".encode()])
    return body, f"multipart/form-data; boundary={boundary}"


def _target(call: str, photographs: Sequence[bytes], pid: int) -> Target:
    return Target(call, [post(call, data, "image/jpeg") for data in photographs], pid)
