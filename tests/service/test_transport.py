"""Sending a call and reading its answer."""

from __future__ import annotations

import json

import httpx
import pytest

from service import calls
from service.transport import (
    ClientError,
    ServiceError,
    ServiceUnreachable,
    authorization,
    base_url,
    read,
    unreachable,
)

PROBLEM = {"type": "urn:x", "title": "Full", "status": 503, "detail": "later", "request_id": "r"}


def response(status: int, content: object, **headers: str) -> httpx.Response:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    request = httpx.Request("GET", "http://x/readyz")
    return httpx.Response(status, content=data, headers=headers, request=request)


@pytest.mark.parametrize("url", ["", "localhost", "ftp://x", "http://", "http://x:port", "/x"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ClientError, match=r"expected an address like http://127\.0\.0\.1:8000"):
        base_url(url)


def test_an_answer_is_read() -> None:
    assert read(calls.ready(), response(200, {"status": "ok"})).status == "ok"


def test_a_problem_is_raised_with_what_it_says() -> None:
    refused = response(503, PROBLEM | {"extra": 5}, **{"Retry-After": "3"})
    with pytest.raises(ServiceError, match="503 Full: later") as raised:
        read(calls.ready(), refused)
    assert raised.value.status == 503
    assert raised.value.retry_after == 3
    assert raised.value.problem.request_id == "r"
    with pytest.raises(ServiceError) as raised:
        read(calls.ready(), response(503, PROBLEM))
    assert raised.value.retry_after is None


def test_who_has_no_key_is_told_where_to_put_one() -> None:
    with pytest.raises(ServiceError, match=r"--api-key or XMADAPTER_API_KEY"):
        read(calls.ready(), response(401, PROBLEM | {"status": 401}))


def test_a_key_is_sent_as_a_bearers() -> None:
    assert authorization("xma_abc") == {"Authorization": "Bearer xma_abc"}
    assert authorization(None) == {}


@pytest.mark.parametrize("key", ["", "a b", "a\n", "ü", "xma_secret secret"])
def test_what_is_no_key_is_not_sent_and_not_shown(key: str) -> None:
    with pytest.raises(ClientError, match="expected an API key") as raised:
        authorization(key)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "content"), [(200, b"<html>"), (200, {"other": 1}), (502, b"Bad gateway"), (404, {})]
)
def test_what_another_program_answers(status: int, content: object) -> None:
    with pytest.raises(ClientError, match="expected an answer of the XMAdapter service") as raised:
        read(calls.ready(), response(status, content))
    assert not isinstance(raised.value, ServiceError)


def test_no_answer_says_what_to_look_at() -> None:
    url = httpx.URL("http://127.0.0.1:1")
    refused = unreachable(url, httpx.ConnectError("refused"))
    assert isinstance(refused, ServiceUnreachable)
    assert "xmadapter serve" in str(refused)
    assert "in time" in str(unreachable(url, httpx.ReadTimeout("")))
