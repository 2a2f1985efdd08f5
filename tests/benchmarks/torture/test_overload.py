"""A short overload, and that a service that breaks under it is seen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import uvloop

from benchmarks.server import Server
from benchmarks.torture import overload
from benchmarks.torture.overload import Load
from benchmarks.torture.row import Clock
from benchmarks.torture.vitals import Vitals
from benchmarks.torture.wire import Reply
from service.client import Client
from tests.e2e.slow_encoder import SlowEncoder
from tests.service.serving import serving

FLAT = [Vitals(second, 100.0, 10, 10) for second in range(60)]
GOOD = [Reply(200, 1.0)] * 95
REFUSED = [Reply(503, 0.010, retry_after=True)] * 100


def test_more_than_it_can_carry_is_refused_and_the_rest_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overload, "CALLERS", 4)
    slow = serving(tmp_path, encoder=SlowEncoder(0.02), max_batch=1, max_queue=8)
    with slow as service, Client(service.url) as client:
        server = Server(client, os.getpid(), 0.0, service.url)
        overload._teach(server)
        rows = uvloop.run(overload._measure(server, 0.01))
    asked = rows[0]
    assert "0 not sent, 0 otherwise" in asked.figure
    assert "0 without Retry-After" in rows[1].figure
    assert not rows[1].figure.startswith("0,")


@pytest.mark.parametrize(
    ("replies", "unsent", "samples", "reached"),
    [
        ([*GOOD, *REFUSED], 0, FLAT, [True, True, True]),
        ([*GOOD[:80], *REFUSED], 0, FLAT, [False, True, True]),
        ([*GOOD, *REFUSED], 1, FLAT, [False, True, True]),
        ([*GOOD, *REFUSED, Reply(500, 0.1)], 0, FLAT, [False, True, True]),
        ([*GOOD, *REFUSED, Reply(0, 0.1)], 0, FLAT, [False, True, True]),
        ([*GOOD, *[Reply(503, 0.06, retry_after=True)] * 9], 0, FLAT, [True, False, True]),
        ([*GOOD, *REFUSED, Reply(503, 0.01)], 0, FLAT, [True, False, True]),
        (
            [*GOOD, *REFUSED],
            0,
            [Vitals(second, 100.0 + second, 10, 10) for second in range(60)],
            [True, True, False],
        ),
    ],
)
def test_each_goal_can_be_missed(
    replies: list[Reply], unsent: int, samples: Sequence[Vitals], reached: list[bool]
) -> None:
    rows = overload._rows(100.0, Load(replies, unsent), samples, 1.0, Clock())
    assert [row.reached for row in rows] == reached
