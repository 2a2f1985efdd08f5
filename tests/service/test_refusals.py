"""What is answered without the application."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from service import refusals
from service.admission import Gate
from service.errors import Problem
from service.metrics import Metrics
from service.refusals import Refusals, as_bytes


def test_a_problem_is_a_whole_response() -> None:
    problem = Problem("malformed", "expected this", headers={"Retry-After": "3"})
    head, body = as_bytes(problem, [(b"date", b"now")], "mine", close=True).split(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 400 Bad Request"
    assert {
        b"date: now",
        b"retry-after: 3",
        b"x-request-id: mine",
        b"connection: close",
        b"x-content-type-options: nosniff",
        f"content-length: {len(body)}".encode(),
    } <= set(lines)
    assert json.loads(body)["request_id"] == "mine"
    assert b"connection" not in as_bytes(problem, [], "mine", close=False)


def test_only_calls_that_queue_are_refused_and_only_while_the_queue_is_full() -> None:
    gate = Gate(1, 100)
    made = Refusals(gate, Metrics())
    assert not made.due(b"POST")
    gate.join(1)
    methods = (b"GET", b"HEAD", b"OPTIONS", b"POST", b"DELETE", b"PUT")
    assert [made.due(method) for method in methods] == [False] * 3 + [True] * 3


def test_many_refusals_are_one_line_of_log_and_all_are_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "LOG_SECONDS", 0.02)
    metrics = Metrics()
    made = Refusals(Gate(1, 100), metrics)

    async def scenario() -> None:
        for _ in range(2):
            for _ in range(5):
                made.answer(b"POST", [(b"x-request-id", b"a b")], [], close=False)
            await asyncio.sleep(0.05)

    with caplog.at_level(logging.INFO, "xmadapter"):
        asyncio.run(scenario())
    told: list[dict[str, Any]] = [record.fields for record in caplog.records]  # type: ignore[attr-defined]
    assert told == [{"kind": "overloaded", "status": 503, "requests": 5}] * 2
    line = 'xmadapter_requests_total{method="POST",route="unmatched",status="503"} 10.0'
    assert line in metrics.text().decode()
