"""What is around every request."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.admission import Gate
from service.metrics import Metrics
from service.middleware import Admission, Around, CallerGone, request_id_of


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(scope["state"]["request_id"])(scope, receive, send)


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("a secret")


async def half(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ValueError("too late")


async def gone(scope: Scope, receive: Receive, send: Send) -> None:
    raise CallerGone


async def cut(scope: Scope, receive: Receive, send: Send) -> None:
    raise ClientDisconnect


def call(app: ASGIApp, metrics: Metrics | None = None) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/x",
        "headers": [(b"x-request-id", b"mine")],
    }
    asyncio.run(Around(app, metrics or Metrics())(scope, receive, send))
    return sent


def fields(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    found: dict[str, Any] = caplog.records[-1].fields  # type: ignore[attr-defined]
    return found


def test_a_request_is_one_line_of_log_and_one_more_in_the_metrics(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics()
    with caplog.at_level(logging.INFO, "xmadapter"):
        start, body = call(fine, metrics)
    assert body["body"] == b"mine"
    assert (b"x-request-id", b"mine") in start["headers"]
    assert len(caplog.records) == 1
    line = fields(caplog)
    assert line.pop("ms") >= 0
    assert line == {"method": "GET", "path": "/x", "status": 200, "request_id": "mine"}
    assert 'route="unmatched",status="200"} 1.0' in metrics.text().decode()


def test_an_unexpected_error_is_a_problem_without_a_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "xmadapter"):
        start, body = call(broken)
    assert start["status"] == 500
    assert (b"content-type", b"application/problem+json") in start["headers"]
    assert b"secret" not in body["body"]
    assert b"mine" in body["body"]
    assert "a secret" in caplog.text
    assert fields(caplog)["status"] == 500


def test_an_error_in_the_middle_of_an_answer_is_the_servers_to_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(ValueError, match="too late"):
        call(half)
    assert "too late" in caplog.text


@pytest.mark.parametrize("app", [gone, cut])
def test_a_caller_who_has_gone_is_no_error(app: ASGIApp, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "xmadapter"):
        assert call(app) == []
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert fields(caplog)["status"] == 499


def test_ids() -> None:
    assert request_id_of("abc") == "abc"
    assert request_id_of("abc\n") != "abc\n"
    assert request_id_of(None) != request_id_of(None)


async def unread(scope: Scope, receive: Receive, send: Send) -> None:
    scope["state"]["unread"] = lambda: True
    await PlainTextResponse("early", headers={"Cache-Control": "private"})(scope, receive, send)


def test_an_answer_before_its_body_ends_the_connection() -> None:
    start, _ = call(unread)
    assert (b"connection", b"close") in start["headers"]
    start, _ = call(fine)
    assert (b"connection", b"close") not in start["headers"]


def test_every_answer_is_protected() -> None:
    start, _ = call(broken)
    assert (b"x-content-type-options", b"nosniff") in start["headers"]
    assert (b"cache-control", b"no-store") in start["headers"]
    start, _ = call(unread)
    assert (b"cache-control", b"private") in start["headers"]
    assert (b"cache-control", b"no-store") not in start["headers"]


def test_while_the_queue_is_full_only_reading_calls_come_through() -> None:
    gate = Gate(max_requests=1, max_bytes=100)
    asked: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["method"])
        await fine(scope, receive, send)

    async def ask(method: str) -> int:
        sent: list[Message] = []

        async def receive() -> Message:
            raise AssertionError("nothing is read")

        async def send(message: Message) -> None:
            sent.append(message)

        state = {"request_id": "mine"}
        scope = {"type": "http", "method": method, "path": "/x", "headers": [], "state": state}
        await Admission(app, gate)(scope, receive, send)
        status: int = sent[0]["status"]
        return status

    methods = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
    assert [asyncio.run(ask(method)) for method in methods] == [200] * 7
    gate.join(1)
    assert [asyncio.run(ask(method)) for method in methods] == [200] * 3 + [503] * 4
    assert asked == [*methods, "GET", "HEAD", "OPTIONS"]


@pytest.mark.parametrize("coming", [True, False])
def test_a_request_that_is_complete_has_its_place_at_once(coming: bool) -> None:
    gate = Gate(max_requests=1, max_bytes=100)
    places: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        places.append(gate.requests)

    state = {"request_id": "mine", "unread": lambda: coming}
    scope = {"type": "http", "method": "POST", "path": "/x", "headers": [], "state": state}
    asyncio.run(Admission(app, gate)(scope, None, None))  # type: ignore[arg-type]
    assert places == [0 if coming else 1]
    assert gate.requests == 0
