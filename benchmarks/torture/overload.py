"""Three times the load that the service can carry: it goes on at its peak, and says so to the rest.

The peak is what callers get who wait for their answers (closed loop). Then requests come at three
times that rate whatever the answers take (open loop), from one process that only sends bytes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.server import Server, serving
from benchmarks.torture.pictures import picture
from benchmarks.torture.row import Clock, Row
from benchmarks.torture.vitals import Vitals, change, vitals
from benchmarks.torture.wire import (
    Address,
    Connection,
    Reply,
    closed_loop,
    connect,
    percentile,
    post,
)

TIMES = 3
SECONDS = 60.0
PEAK_SECONDS = 15.0
WARM_SECONDS = 3.0
CALLERS = 64
CONNECTIONS = 900
TICK = 0.005
REFUSED_WITHIN = 0.050
GOODPUT = 0.90
GROWTH = 0.02
CLASSES = 4


@dataclass
class Load:
    """What came of an open loop.

    Attributes:
        replies: the answers.
        unsent: requests for which no connection was free.
    """

    replies: list[Reply]
    unsent: int = 0


def run(effort: float, folder: Path) -> Sequence[Row]:
    """The three rows of the goal."""
    with serving(folder / "cache", "--log-format", "json") as server:
        _teach(server)
        return uvloop.run(_measure(server, min(effort, 1.0)))


def _teach(server: Server) -> None:
    for number in range(CLASSES):
        server.client.add(f"class {number}", [picture(10 * number + mark) for mark in range(4)])
    server.settle()


async def _measure(server: Server, effort: float) -> list[Row]:
    address = Address.of(server.url)
    requests = [post("/classify", picture(1000 + number), "image/png") for number in range(64)]
    await closed_loop(address, requests, CALLERS, max(WARM_SECONDS * effort, 0.5))
    clock = Clock()
    seconds = max(PEAK_SECONDS * effort, 1.0)
    answered = await closed_loop(address, requests, CALLERS, seconds)
    peak = sum(reply.status == 200 for reply in answered) / seconds
    seconds = max(SECONDS * effort, 2.0)
    watching = asyncio.create_task(_watch(server.pid, seconds))
    load = await _open_loop(address, requests, TIMES * peak, seconds)
    return _rows(peak, load, await watching, seconds, clock)


async def _watch(pid: int, seconds: float) -> list[Vitals]:
    began = time.perf_counter()
    samples = []
    while (now := time.perf_counter() - began) < seconds:
        samples.append(vitals(pid, now))
        await asyncio.sleep(seconds / 60)
    return samples


async def _open_loop(
    address: Address, requests: Sequence[bytes], rate: float, seconds: float
) -> Load:
    """Requests at `rate` a second; those of a few milliseconds are sent together."""
    load = Load([])
    free: list[Connection] = [await connect(address) for _ in range(CALLERS)]
    opened = len(free)
    under_way: set[asyncio.Task[None]] = set()

    async def one(request: bytes, connection: Connection | None) -> None:
        nonlocal opened
        began = time.perf_counter()
        try:
            connection = connection or await connect(address)
        except OSError:
            opened -= 1
            load.replies.append(Reply(0, time.perf_counter() - began))
            return
        load.replies.append(await connection.ask(request))
        if connection.closed:
            connection.close()
            opened -= 1
        else:
            free.append(connection)

    began = time.perf_counter()
    sent = 0
    while (now := time.perf_counter() - began) < seconds:
        for number in range(sent, int(now * rate)):
            while free and free[-1].closed:
                free.pop()
                opened -= 1
            if not free and opened >= CONNECTIONS:
                load.unsent += 1
                continue
            connection = free.pop() if free else None
            opened += connection is None
            task = asyncio.create_task(one(requests[number % len(requests)], connection))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        sent = int(now * rate)
        await asyncio.sleep(TICK)
    await asyncio.gather(*under_way)
    for connection in free:
        connection.close()
    return load


def _rows(
    peak: float, load: Load, samples: Sequence[Vitals], seconds: float, clock: Clock
) -> list[Row]:
    good = [reply for reply in load.replies if reply.status == 200]
    refused = [reply for reply in load.replies if reply.status == 503]
    others = len(load.replies) - len(good) - len(refused)
    goodput, late = len(good) / seconds, percentile(refused)
    silent = sum(not reply.retry_after for reply in refused)
    before, after = change(samples, lambda sample: sample.megabytes)
    offered = (len(load.replies) + load.unsent) / seconds
    return [
        Row(
            f"{TIMES} times the load, {seconds:.0f} s",
            f"{goodput:.0f} answers a second of {offered:.0f} asked, "
            f"{goodput / peak:.0%} of the peak of {peak:.0f}, "
            f"p99 {percentile(good):.2f} s; {load.unsent} not sent, {others} otherwise",
            f"at least {GOODPUT:.0%}, every other one refused",
            goodput >= GOODPUT * peak and others == 0 and load.unsent == 0,
            clock.seconds,
        ),
        Row(
            "refusals under that load",
            f"{len(refused)}, p99 {late * 1000:.0f} ms, p50 "
            f"{percentile(refused, 0.5) * 1000:.0f} ms, {silent} without Retry-After",
            f"p99 within {REFUSED_WITHIN * 1000:.0f} ms, all with Retry-After",
            late <= REFUSED_WITHIN and silent == 0,
            clock.seconds,
        ),
        Row(
            "memory under that load",
            f"{before:.0f} MB, then {after:.0f} MB",
            f"growth under {GROWTH:.0%}",
            after <= before * (1 + GROWTH),
            clock.seconds,
        ),
    ]
