"""The process that sends the load: requests ready as bytes, over HTTP/1.1 connections kept alive.

It takes a plan, and the requests, on its standard input, and writes what came of them as JSON. It
does as little as it can for a request, since it has to share the machine with what it measures.
`benchmarks.performance.load` starts it.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from time import perf_counter, process_time
from typing import Any, Literal, cast

import uvloop

from benchmarks.performance.load_processes import family, processor_seconds

LATE = 0.005
"""Seconds after which a request that was due counts as sent late."""

NO_ANSWER = 0
"""The status of a request whose connection ended, or that had no answer in time."""

PAUSE = 0.02
"""Seconds before a connection that was refused is tried again."""


@dataclass(frozen=True)
class Plan:
    """What to send.

    Attributes:
        host: of the service.
        port: of the service.
        connections: that are kept open.
        rate: requests a second, whatever the answers take; None: each connection sends its next
            request when it has its answer.
        arrivals: at random (a Poisson process), or evenly spaced.
        warm: seconds that are sent before, and do not count.
        seconds: that count.
        grace: seconds to wait at the end for answers that are due.
        pid: of the service; with all processes below it, those whose processor time is taken.
        seed: of the random arrivals.
    """

    host: str
    port: int
    connections: int
    rate: float | None
    arrivals: Literal["poisson", "even"]
    warm: float
    seconds: float
    grace: float
    pid: int | None
    seed: int


class Connection(asyncio.Protocol):
    """One connection, with one request at a time, each told to `run` when it ends."""

    def __init__(self, run: Run) -> None:
        self.due = math.nan
        self._run = run
        self._transport: asyncio.Transport
        self._received = b""
        self._length = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        # uvloop's transports have the methods, and not the class.
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes, due: float) -> None:
        """Send a request; its time runs from `due`."""
        self.due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """A part of an answer, or all of it."""
        self._received = received = self._received + data if self._received else data
        if not self._length:
            end = received.find(b"\r\n\r\n")
            if end < 0:
                return
            try:
                self._length = end + 4 + _content_length(received[:end])
            except ValueError as error:
                self._run.give_up(error)
                return
        if len(received) >= self._length:
            self._received, self._length = b"", 0
            self._run.answered(self, int(received[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, with its request, if it had one."""
        self._run.lost(self)

    def close(self) -> None:
        """End it."""
        self._transport.abort()


class Run:
    """One load, from its first connection to its last answer.

    Args:
        plan: of it.
        requests: sent in turn.
    """

    def __init__(self, plan: Plan, requests: Sequence[bytes]) -> None:
        self._plan = plan
        self._requests = cycle(requests)
        self._loop = asyncio.get_running_loop()
        self._free: list[Connection] = []
        self._all: set[Connection] = set()
        self._owed: deque[float] = deque()
        self._under_way: set[Connection] = set()
        self._times: list[float] = []
        self._lags: list[float] = []
        self._statuses: Counter[int] = Counter()
        self._stopping = False
        self._coming = plan.rate is not None
        self._start = self._end = math.inf
        self._opening: set[asyncio.Task[None]] = set()
        self._trouble: asyncio.Future[None] = self._loop.create_future()
        self._idle = asyncio.Event()

    async def go(self) -> dict[str, Any]:
        """Send all of it; what came of it."""
        plan = self._plan
        await asyncio.gather(*(self._open() for _ in range(plan.connections)))
        processes = family(plan.pid) if plan.pid is not None else []
        began = perf_counter()
        start = began + plan.warm
        # In a closed loop what is answered within the window counts, in an open loop what is due.
        self._start, self._end = start, start + plan.seconds
        if plan.rate is None:
            for connection in self._take_all():
                self._send(connection, began)
        else:
            self._tick(_due(plan, began))
        await self._until(start)
        at_start = perf_counter(), processor_seconds(processes), process_time()
        await self._until(self._end)
        at_end = perf_counter(), processor_seconds(processes), process_time()
        self._stopping = True
        await self._finish()
        window, server, client = (b - a for a, b in zip(at_start, at_end, strict=True))
        return self._found() | {
            "seconds": window,
            "server_seconds": server if processes else None,
            "client_seconds": client,
        }

    def answered(self, connection: Connection, status: int) -> None:
        """A connection has its answer, and sends its next request if there is one."""
        due, now = connection.due, perf_counter()
        self._under_way.discard(connection)
        self._count(due, now, status)
        if self._plan.rate is None:
            if self._stopping:
                self._free.append(connection)
            else:
                self._send(connection, now)
        elif self._owed:
            self._send(connection, self._owed.popleft())
        else:
            self._free.append(connection)
        self._settle()

    def lost(self, connection: Connection) -> None:
        """A connection is gone; another takes its place."""
        self._all.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if connection in self._under_way:
            self._under_way.discard(connection)
            self._count(connection.due, perf_counter(), NO_ANSWER)
        self._settle()
        if not self._stopping:
            task = self._loop.create_task(self._replace())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def give_up(self, error: ValueError) -> None:
        """An answer cannot be read: so nothing could be counted rightly."""
        if not self._trouble.done():
            self._trouble.set_exception(error)

    def _send(self, connection: Connection, due: float) -> None:
        self._under_way.add(connection)
        if self._plan.rate is not None and self._start <= due < self._end:
            self._lags.append(perf_counter() - due)
        connection.ask(next(self._requests), due)

    def _count(self, due: float, now: float, status: int) -> None:
        at = now if self._plan.rate is None else due
        if self._start <= at < self._end:
            self._statuses[status] += 1
            self._times.append(now - due if 200 <= status < 300 else math.inf)

    def _tick(self, dues: Iterator[float], due: float | None = None) -> None:
        """Send all that is due, and come again when the next is."""
        now = perf_counter()
        due = next(dues, None) if due is None else due
        while due is not None and due <= now:
            if self._free:
                self._send(self._free.pop(), due)
            else:
                self._owed.append(due)
            due = next(dues, None)
        if due is not None:
            # The loop's timers count whole milliseconds, to the nearest: never too early.
            wait = math.ceil((due - now) * 1000) / 1000
            self._loop.call_later(wait, self._tick, dues, due)
        else:
            self._coming = False
            self._settle()

    async def _open(self) -> None:
        _, connection = await self._loop.create_connection(
            lambda: Connection(self), self._plan.host, self._plan.port
        )
        self._all.add(connection)
        self._free.append(connection)

    async def _replace(self) -> None:
        while not self._stopping:
            try:
                await self._open()
            except OSError:
                await asyncio.sleep(PAUSE)
                continue
            now = perf_counter()
            if self._plan.rate is None:
                self._send(self._free.pop(), now)
            elif self._owed:
                self._send(self._free.pop(), self._owed.popleft())
            return

    def _take_all(self) -> list[Connection]:
        taken, self._free = self._free, []
        return taken

    async def _until(self, moment: float) -> None:
        """Wait. Raises ValueError: an answer that cannot be read."""
        await asyncio.wait([self._trouble], timeout=moment - perf_counter())
        if self._trouble.done():
            self._trouble.result()

    async def _finish(self) -> None:
        """Wait for what is under way, and count as not answered what is still not."""
        self._settle()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), self._plan.grace)
        for due in [*(each.due for each in self._under_way), *self._owed]:
            if self._plan.rate is None or self._start <= due < self._end:
                self._statuses[NO_ANSWER] += 1
                self._times.append(math.inf)
        self._under_way.clear()
        for connection in list(self._all):
            connection.close()

    def _settle(self) -> None:
        if self._stopping and not (self._coming or self._under_way or self._owed):
            self._idle.set()

    def _found(self) -> dict[str, Any]:
        return {
            "times": sorted(self._times),
            "statuses": self._statuses,
            "late": sum(lag > LATE for lag in self._lags),
            "lag": max(self._lags, default=0.0),
        }


def _due(plan: Plan, began: float) -> Iterator[float]:
    """When each request is due, by `perf_counter`, whose steps are finer than the loop's."""
    assert plan.rate is not None
    draw, last = random.Random(plan.seed), began + plan.warm + plan.seconds
    due = began
    while True:
        due += draw.expovariate(plan.rate) if plan.arrivals == "poisson" else 1 / plan.rate
        if due >= last:
            return
        yield due


def _content_length(head: bytes) -> int:
    """Raises ValueError: a head without it."""
    lines = head.lower()
    at = lines.find(b"\r\ncontent-length:")
    if at < 0:
        raise ValueError(f"expected an answer with Content-Length, got {head[:200]!r}")
    return int(lines[at + 17 :].split(b"\r", 1)[0])


async def _run(plan: Plan, requests: Sequence[bytes]) -> dict[str, Any]:
    return await Run(plan, requests).go()


def main() -> None:
    """Read a plan and its requests, do it, and write what came of it."""
    source = sys.stdin.buffer
    given = json.loads(source.readline())
    requests = [source.read(length) for length in given.pop("lengths")]
    json.dump(uvloop.run(_run(Plan(**given), requests)), sys.stdout)


if __name__ == "__main__":
    main()
