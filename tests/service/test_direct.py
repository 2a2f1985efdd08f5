"""The short way of a raw body, beside the framework's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.admission import Gate
from service.direct import Direct
from service.schemas import Classification
from tests.service.serving import GREEN, RED, Service, picture

PASSED_ON = {"type": "passed on"}
# The same number, written at such length that the framework reads it.
LONG = "0" * 250


def ask(service: Service, body: bytes = b"", query: str = "", **changed: Any) -> list[Message]:
    """What is sent for a raw body; `PASSED_ON` where the framework gets it."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(PASSED_ON)

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    async def scenario() -> None:
        with Gate(9, 10**6).ticket() as ticket:
            state = {
                "request_id": "mine",
                "ticket": ticket,
                "unread": lambda: False,
                "watch": lambda hung_up: None,
            }
            scope = {
                "type": "http",
                "method": "POST",
                "path": "/classify",
                "query_string": query.encode(),
                "headers": [(b"content-type", b"image/png")],
                "state": state,
                **changed,
            }
            await Direct(app, service.engine)(scope, receive, send)

    asyncio.run(scenario())
    return sent


def test_a_raw_body_is_answered_without_the_framework(taught: Service) -> None:
    start, body = ask(taught, picture(GREEN), "top_k=1")
    assert start["status"] == 200
    answer = Classification.model_validate_json(body["body"])
    assert (answer.label, answer.request_id, len(answer.predictions)) == ("green", "mine", 1)
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()


def test_what_is_refused_is_refused_there_too(taught: Service) -> None:
    start, body = ask(taught, b"no image")
    assert start["status"] == 415
    assert b'"request_id":"mine"' in body["body"]


@pytest.mark.parametrize(
    "changed",
    [
        {"query": "top_k=1&top_k=1"},
        {"query": "top_k=0"},
        {"query": "topk=1"},
        {"query": f"top_k={LONG}1"},
        {"method": "GET"},
        {"path": "/classify/batch"},
        {"headers": [(b"content-type", b"application/json")]},
        {"headers": []},
        {"type": "lifespan"},
    ],
)
def test_all_else_goes_the_frameworks_way(taught: Service, changed: dict[str, Any]) -> None:
    assert ask(taught, picture(), **changed) == [PASSED_ON]


@pytest.mark.parametrize("kind", ["image/png", "IMAGE/PNG ; a=b"])
@pytest.mark.parametrize("image", [picture(RED), b"", b"no image", picture(RED)[:60]])
def test_both_ways_answer_alike(taught: Service, image: bytes, kind: str) -> None:
    headers = {"Content-Type": kind, "X-Request-ID": "mine"}
    short, long = (
        taught.http.post("/classify", content=image, headers=headers, params={"top_k": top_k})
        for top_k in ("2", f"{LONG}2")
    )
    assert short.status_code == long.status_code
    assert short.content == long.content
    own = [{**answer.headers, "date": ""} for answer in (short, long)]
    assert own[0] == own[1]
