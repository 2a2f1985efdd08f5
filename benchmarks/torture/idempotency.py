"""Many callers send the same request with the same `Idempotency-Key` at the same moment.

Whoever gets an answer gets the same one, byte for byte; who comes while the first is under way is
told to come back, and then gets it too. The same key with another request is refused.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx

from benchmarks.torture.fleet import fleet
from benchmarks.torture.pictures import picture
from benchmarks.torture.row import Clock, Row
from benchmarks.torture.tally import Tally

CALLERS = 64
ROUNDS = 100
IMAGES = 2
PATIENCE = 30.0
"""Seconds after which a caller gives up coming back."""

SPREAD = 0.5
"""Seconds by which callers differ in coming back."""

REUSED = "urn:xmadapter:problem:key-reused"


def run(effort: float, folder: Path) -> Sequence[Row]:
    """Rounds through one process, and through two on one cache; a row each."""
    rounds = max(1, round(ROUNDS * effort))
    return [_case(count, rounds, folder / str(count)) for count in (1, 2)]


def _case(processes: int, rounds: int, folder: Path) -> Row:
    clock = Clock()
    tally = Tally()
    folder.mkdir()
    with (
        fleet(processes, folder) as addresses,
        ExitStack() as held,
        ThreadPoolExecutor(CALLERS) as threads,
    ):
        callers = [
            held.enter_context(httpx.Client(base_url=addresses[number % processes].url, timeout=60))
            for number in range(CALLERS)
        ]
        for number in range(rounds):
            _round(number, callers, threads, tally)
    where = "one process" if processes == 1 else f"{processes} processes on one cache"
    return Row(
        f"idempotency: {CALLERS} callers with one key at once, {where}",
        f"{tally.figure()} rounds",
        "one set of shots, one answer",
        tally.wrong == 0 and tally.right == rounds,
        clock.seconds,
    )


def _round(
    number: int, callers: Sequence[httpx.Client], threads: ThreadPoolExecutor, tally: Tally
) -> None:
    label, key = f"round {number}", f"key {number}"
    images = [picture(IMAGES * number + each) for each in range(IMAGES)]
    together = threading.Barrier(len(callers), timeout=PATIENCE)

    def call(http: httpx.Client) -> tuple[int, bytes]:
        together.wait()
        return _insist(http, label, images, key)

    answers = set(threads.map(call, callers))
    shots = callers[0].get("/cache/shots", params={"label": label}).json()["shots"]
    other = _send(callers[-1], label, images[:1], key)
    statuses = sorted(status for status, _ in answers)
    found = (statuses, len(shots), _problem(other))
    expected = ([201], IMAGES, (422, REUSED))
    tally.check(found == expected, f"round {number}: expected {expected}, got {found}")


def _insist(http: httpx.Client, label: str, images: Sequence[bytes], key: str) -> tuple[int, bytes]:
    """Send until it is answered; status and body. Whoever is told to wait does."""
    end = time.monotonic() + PATIENCE
    while True:
        answer = _send(http, label, images, key)
        # Under way, or the service is full for the moment.
        if "Retry-After" not in answer.headers or time.monotonic() > end:
            return answer.status_code, answer.content
        # Not all at once again.
        time.sleep(float(answer.headers["Retry-After"]) + random.uniform(0, SPREAD))


def _send(http: httpx.Client, label: str, images: Sequence[bytes], key: str) -> httpx.Response:
    return http.post(
        "/cache/add",
        data={"label": label},
        files=[("image", ("image", image)) for image in images],
        headers={"Idempotency-Key": key},
    )


def _problem(answer: httpx.Response) -> tuple[int, str | None]:
    return answer.status_code, None if answer.is_success else answer.json()["type"]
