"""Attacks on the door: each is refused within its limits, and other callers hardly notice.

Another caller asks at a steady rate, in a process that does nothing else: before each attack, and
while it goes on. The attack runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.server import Server, serving
from benchmarks.torture.pictures import picture
from benchmarks.torture.row import Clock, Row
from benchmarks.torture.vitals import vitals
from benchmarks.torture.wire import Address, Reply, percentile, post, steady

ROOT = Path(__file__).resolve().parents[2]
RATE = 50.0
SECONDS = 20.0
SOCKETS = 400
HEADER_TIMEOUT = 10.0
BODY_GRACE = 5.0
GROWTH = 256.0
SLOWER = 2.0


@dataclass(frozen=True)
class Goal:
    """What must come of an attack.

    Attributes:
        name: of the attack.
        what: it is, for a person.
        statuses: that refuse it.
        within: seconds in which it must be refused.
    """

    name: str
    what: str
    statuses: tuple[int, ...]
    within: float


def goals(header_timeout: float) -> tuple[Goal, ...]:
    """One for each attack; 0 is a connection closed without an answer."""
    late = 2.0
    return (
        Goal("bombs", "decompression bombs", (413,), late),
        Goal("floods", "64 over-large images in a request", (413,), late),
        Goal("forms", "forms of 10,000 parts and endless headers", (400, 422), late),
        Goal("slow_heads", f"{SOCKETS} slow heads", (408,), header_timeout + late),
        Goal("slow_bodies", f"{SOCKETS} slow bodies", (408,), BODY_GRACE + late),
        Goal("silence", f"{SOCKETS} silent sockets", (0,), header_timeout + late),
        Goal("header_floods", "header floods", (431,), late),
        Goal("json_floods", "JSON floods", (400, 422), late),
        Goal("endless", "endless chunked bodies", (413,), late + 1),
    )


def run(effort: float, folder: Path) -> Sequence[Row]:
    """A row for each attack."""
    full = effort >= 1
    # A short run takes short waits too.
    header_timeout = HEADER_TIMEOUT if full else 1.0
    flags = ("--header-timeout", str(header_timeout), "--log-format", "json")
    with serving(folder / "cache", *flags) as server:
        for number in range(4):
            server.client.add(f"class {number}", [picture(10 * number + mark) for mark in range(4)])
        server.settle()
        _steady(server, 1.0)
        seconds = max(SECONDS * min(effort, 1.0), 0.5)
        sockets = max(round(SOCKETS * min(effort, 1.0)), 20)
        return [_attacked(server, goal, seconds, sockets) for goal in goals(header_timeout)]


def _attacked(server: Server, goal: Goal, seconds: float, sockets: int) -> Row:
    clock = Clock()
    # Those who wait for a limit must come to it.
    seconds = max(seconds, goal.within) if "slow" in goal.name or goal.within > 5 else seconds
    before = _steady(server, seconds)
    memory = vitals(server.pid).megabytes
    with _attack(server, goal, seconds, sockets) as attack:
        peak: list[float] = []
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(server.pid, done, peak))
        watcher.start()
        during = _steady(server, seconds)
        done.set()
        watcher.join()
        printed, _ = attack.communicate()
    return _row(goal, clock, json.loads(printed), before, during, max(peak) - memory)


def _row(
    goal: Goal,
    clock: Clock,
    outcome: dict[str, Any],
    before: Sequence[Reply],
    during: Sequence[Reply],
    growth: float,
) -> Row:
    statuses: dict[str, int] = outcome["statuses"]
    refused = sum(count for status, count in statuses.items() if int(status) in goal.statuses)
    others = dict(statuses)
    for status in goal.statuses:
        others.pop(str(status), None)
    failed = sum(reply.status != 200 for reply in during)
    was, now = percentile(before), percentile(during)
    reached = (
        not others
        and refused > 0
        and outcome["slowest"] <= goal.within
        and failed == 0
        and now < SLOWER * was
        and growth <= GROWTH
    )
    codes = " or ".join(str(status) if status else "a close" for status in goal.statuses)
    return Row(
        f"attack: {goal.what}",
        f"{refused} refused with {codes} in at most {outcome['slowest']:.1f} s"
        + (f", otherwise {others}" if others else "")
        + f"; others' p99 {was * 1000:.1f} ms, then {now * 1000:.1f} ms, {failed} failed; "
        f"memory {growth:+.0f} MB",
        f"all refused within {goal.within:g} s, p99 less than doubled, "
        f"memory at most {GROWTH:+.0f} MB",
        reached,
        clock.seconds,
    )


def _steady(server: Server, seconds: float) -> list[Reply]:
    """What the other caller gets."""
    request = post("/classify", picture(99), "image/png")
    return uvloop.run(_ask(Address.of(server.url), request, seconds))


async def _ask(address: Address, request: bytes, seconds: float) -> list[Reply]:
    return await steady(address, request, RATE, seconds)


@contextmanager
def _attack(
    server: Server, goal: Goal, seconds: float, sockets: int
) -> Iterator[subprocess.Popen[str]]:
    """The attack's process, from its first byte on."""
    command = [sys.executable, "-m", "benchmarks.torture.attacks", goal.name, server.url]
    process = subprocess.Popen(
        [*command, str(seconds), str(sockets)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.write("\n")
        process.stdin.flush()
        yield process
    finally:
        process.kill()
        process.wait()


def _watch(pid: int, done: threading.Event, peak: list[float]) -> None:
    while not peak or not done.wait(0.1):
        peak.append(vitals(pid).megabytes)
