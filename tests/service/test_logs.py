"""The log's lines."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from indexer import centroids
from service import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in logs.LEVELS]
    before = [(logger, vars(logger).copy()) for logger in loggers]
    yield
    for logger, state in before:
        logger.handlers = state["handlers"]
        logger.propagate = state["propagate"]
        logger.setLevel(state["level"])


def lines(form: Literal["text", "json"], **fields: Any) -> list[str]:
    stream = io.StringIO()
    logs.configure(form, stream)
    logs.event("request", **fields)
    return stream.getvalue().splitlines()


def test_text_is_one_line_of_facts() -> None:
    (line,) = lines("text", method="POST", path="/classify", status=200, ms=1.5)
    assert line.endswith(" info request method=POST path=/classify status=200 ms=1.5")


def test_json_is_one_object() -> None:
    (line,) = lines("json", path="/classes/a b", status=404)
    assert json.loads(line)["message"] == "request"
    assert json.loads(line)["path"] == "/classes/a b"
    assert json.loads(line)["status"] == 404


def test_what_a_process_says_of_itself_is_in_each_line() -> None:
    stream = io.StringIO()
    logs.configure("text", stream, worker=2)
    logs.event("request", status=404)
    logs.configure("json", stream, worker=2)
    logging.getLogger("uvicorn").warning("odd")
    text, json_line = stream.getvalue().splitlines()
    assert text.endswith(" info request status=404 worker=2")
    assert json.loads(json_line)["worker"] == 2


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("path", ["/a\nfake line", "/a b=c", "/\u202eevil", ""])
def test_a_caller_cannot_break_or_forge_a_line(form: Literal["text", "json"], path: str) -> None:
    (line,) = lines(form, path=path, status=404)
    assert "\u202e" not in line
    assert json.loads(line)["path"] == path if form == "json" else "status=404" in line
    assert " b=c" not in line or '"/a b=c"' in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_failure_comes_with_its_trace(form: Literal["text", "json"]) -> None:
    stream = io.StringIO()
    logs.configure(form, stream)
    try:
        raise ValueError("broken")
    except ValueError as error:
        logs.failure("failed", error, request_id="abc")
    assert "ValueError: broken" in stream.getvalue()
    assert "abc" in stream.getvalue()


def test_the_servers_chatter_is_left_out() -> None:
    stream = io.StringIO()
    logs.configure("text", stream)
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("python_multipart.multipart").warning("Expected boundary character")
    assert "boundary" not in stream.getvalue()
    assert "Started" not in stream.getvalue()
    assert "Invalid HTTP request" in stream.getvalue()


def test_lines_of_one_turn_of_an_event_loop_are_written_together() -> None:
    stream = io.StringIO()
    seen: list[int] = []

    async def scenario() -> None:
        for number in range(3):
            logs.event("request", number=number)
        seen.append(len(stream.getvalue().splitlines()))
        await asyncio.sleep(0)
        seen.append(len(stream.getvalue().splitlines()))
        logs.event("request", number=3)
        logs.trouble("broken")
        seen.append(len(stream.getvalue().splitlines()))
        logs.event("last of a loop")

    logs.configure("text", stream)
    asyncio.run(scenario())
    logs.event("stopped")
    assert seen == [0, 3, 5]
    messages = [line.split(maxsplit=2)[2] for line in stream.getvalue().splitlines()]
    requests = [f"request number={number}" for number in range(4)]
    assert messages == [*requests, "broken", "last of a loop", "stopped"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_the_indexer_warns_of_is_a_line_too(form: Literal["text", "json"]) -> None:
    stream = io.StringIO()
    logs.configure(form, stream)
    facts = {"file": "a cache/image-centroids.safetensors"}
    centroids.LOGGER.warning("index snapshot made again", extra={"fields": facts})
    (line,) = stream.getvalue().splitlines()
    if form == "json":
        assert json.loads(line).items() >= {**facts, "level": "warning"}.items()
    else:
        assert line.endswith(
            ' warning index snapshot made again file="a cache/image-centroids.safetensors"'
        )


KEY = "xma_1a2b3c4d_Zm9vYmFyYmF6cXV4-Zm9vYmFy_YmF6"


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "fields",
    [
        {"path": f"/classes/{KEY}"},
        {"path": "/classes/a?token=hunter2&b=c"},
        {"Authorization": "Bearer hunter2"},
        {"api_key": "hunter2"},
        {"headers": {"Cookie": "hunter2", "X-API-Key": "hunter2", "other": [KEY]}},
        {"reason": f"cannot use {KEY!r} here"},
        {"reason": "got {'authorization': 'Bearer hunter2'}"},
        {"reason": "got headers Authorization: Basic hunter2, Password=hunter2"},
        {"query": "key=hunter2"},
        {"detail": (b"x-api-key: hunter2",)},
    ],
)
def test_secrets_are_masked(form: Literal["text", "json"], fields: dict[str, Any]) -> None:
    (line,) = lines(form, **fields, status=200)
    assert "hunter2" not in line
    assert "Zm9v" not in line
    assert logs.MASK in line
    assert "200" in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_in_messages_and_traces_are_masked(form: Literal["text", "json"]) -> None:
    stream = io.StringIO()
    logs.configure(form, stream)
    logging.getLogger("uvicorn.error").warning("refused %s with password=%s", KEY, "hunter2")
    try:
        raise ValueError(f"bad key {KEY}, token: hunter2")
    except ValueError as error:
        logs.failure("failed", error)
    written = stream.getvalue()
    assert "Zm9v" not in written
    # Once in the line of source that the trace quotes; never as a value.
    assert "ValueError: bad key xma_***, token:***" in written
    assert "password=***" in written


def test_what_is_no_secret_stays() -> None:
    fields = {
        "path": "/classes/monkey",
        "caller_id": "1a2b",
        "keys": 3,
        "reason": "a new key: use 5",
    }
    (line,) = lines("json", **fields)
    assert fields.items() <= json.loads(line).items()
