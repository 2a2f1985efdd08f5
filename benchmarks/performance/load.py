"""Load on a service on this machine, from a process of its own.

Closed loop: so many callers, each of whom sends its next request when it has its answer: what the
service can do at most. Open loop: requests at a rate, whatever the answers take, each one's latency
counted from when it was due: so a service that stands still for a second is seen to, although
callers who wait would have sent it nothing in that second.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from benchmarks.performance.load_client import Plan

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
WARM_SECONDS = 1.0
OPEN_CONNECTIONS = 256
GRACE_SECONDS = 10.0
LONGEST = 120.0
"""Seconds that a load may last, with its warm-up."""


@dataclass(frozen=True)
class Target:
    """What is asked.

    Attributes:
        url: of the call, on this machine.
        requests: whole requests, sent in turn; see `post`.
        pid: of the service's first process, where its processor time is wanted.
    """

    url: str
    requests: Sequence[bytes]
    pid: int | None = None

    def __post_init__(self) -> None:
        if urlsplit(self.url).hostname not in LOOPBACK:
            raise ValueError(f"expected an address of this machine (127.0.0.1), got {self.url}")
        if not self.requests:
            raise ValueError("expected at least one request to send, got none")


@dataclass(frozen=True)
class Load:
    """What came of a load; of its seconds that count, without the warm-up.

    A request that got an error, or no answer, counts with a latency that is infinite: to fail
    quickly makes no percentile better.

    Attributes:
        seconds: that it lasted.
        offered: requests a second in an open loop; None in a closed one.
        connections: that were open.
        statuses: status -> how many answers with it; 0 for none.
        times: latencies, ascending, in seconds.
        late: requests that left 5 ms or more after they were due.
        lag: the longest that one left after it was due, in seconds.
        server_seconds: processor time of the service, all of its processes.
        client_seconds: processor time of the process that sent the load.
    """

    seconds: float
    offered: float | None
    connections: int
    statuses: dict[int, int]
    times: tuple[float, ...]
    late: int
    lag: float
    server_seconds: float | None
    client_seconds: float

    @property
    def answered(self) -> int:
        """Requests with an answer that is no error."""
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300)

    @property
    def failed(self) -> int:
        """All others."""
        return sum(self.statuses.values()) - self.answered

    @property
    def rate(self) -> float:
        """Good answers a second.

        In a closed loop without failures, by Little's law: callers, each of whom always waits for
        one answer, over the mean time of an answer. To count them would depend on how many
        batches, of as many as all callers, happen to end before the clock does.
        """
        if self.offered is None and self.times and not self.failed:
            return self.connections * len(self.times) / sum(self.times)
        return self.answered / self.seconds

    @property
    def server_milliseconds(self) -> float | None:
        """Processor time of the service for each good answer."""
        if self.server_seconds is None or not self.answered:
            return None
        return 1000 * self.server_seconds / (self.rate * self.seconds)

    @property
    def client_microseconds(self) -> float:
        """Processor time of the sender for each request; infinite where none was answered."""
        count = sum(self.statuses.values())
        return 1e6 * self.client_seconds / count if count else math.inf

    def milliseconds(self, part: float) -> float:
        """Within which this part (0.99, say) of the requests was answered; infinite if never."""
        if not self.times:
            return math.inf
        return 1000 * self.times[min(math.ceil(part * len(self.times)), len(self.times)) - 1]


def post(url: str, body: bytes, content_type: str) -> bytes:
    """A whole request, as bytes."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"POST {path or '/'} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def closed_loop(
    target: Target, connections: int, seconds: float, warm: float = WARM_SECONDS
) -> Load:
    """What so many callers get, each of whom sends its next request when it has its answer.

    Raises:
        RuntimeError: nothing listens there, or it speaks another HTTP.
        ValueError: longer than a load may be.
    """
    return _load(target, connections, None, seconds, warm)


def open_loop(
    target: Target,
    rate: float,
    seconds: float,
    warm: float = WARM_SECONDS,
    *,
    connections: int = OPEN_CONNECTIONS,
    arrivals: Literal["poisson", "even"] = "poisson",
    seed: int = 0,
) -> Load:
    """What comes of `rate` requests a second, whatever the answers take.

    One for which no connection is free waits for one, and its time runs meanwhile.

    Raises:
        RuntimeError: nothing listens there, or it speaks another HTTP.
        ValueError: longer than a load may be, or no rate.
    """
    if not rate > 0:
        raise ValueError(f"expected a rate above 0 requests a second, got {rate}")
    return _load(target, connections, rate, seconds, warm, arrivals, seed)


def _load(
    target: Target,
    connections: int,
    rate: float | None,
    seconds: float,
    warm: float,
    arrivals: Literal["poisson", "even"] = "poisson",
    seed: int = 0,
) -> Load:
    if not 0 < seconds + warm <= LONGEST:
        raise ValueError(f"expected a load of at most {LONGEST:.0f} s, got {seconds + warm:.0f} s")
    where = urlsplit(target.url)
    plan = Plan(
        host=where.hostname or "",
        port=where.port or 80,
        connections=connections,
        rate=rate,
        arrivals=arrivals,
        warm=warm,
        seconds=seconds,
        grace=GRACE_SECONDS,
        pid=target.pid,
        seed=seed,
    )
    found = _sent(plan, target.requests)
    statuses = {int(status): count for status, count in found.pop("statuses").items()}
    times = tuple(found.pop("times"))
    return Load(offered=rate, connections=connections, statuses=statuses, times=times, **found)


def _sent(plan: Plan, requests: Sequence[bytes]) -> dict[str, Any]:
    head = {**asdict(plan), "lengths": [len(request) for request in requests]}
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.performance.load_client"],
        input=b"".join([json.dumps(head).encode(), b"\n", *requests]),
        capture_output=True,
        timeout=plan.warm + plan.seconds + plan.grace + 30,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(
            f"the load on {plan.host}:{plan.port} ended early:\n{ended.stderr.decode()}"
        )
    found: dict[str, Any] = json.loads(ended.stdout)
    return found
