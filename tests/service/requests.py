"""Requests without a server: what the modules that read bodies are tested with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fastapi import Request
from starlette.types import Message

from service.admission import Gate
from service.streaming import Reader

Result = TypeVar("Result")
WIDTH = 512


def make_request(
    chunks: Iterable[bytes] = (), headers: dict[str, str] | None = None, *, stall: bool = False
) -> Request:
    """A POST whose body comes in these chunks, and then, with `stall`, never ends."""
    pieces = list(chunks)
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
    ]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        if stall and len(messages) == 1:
            await asyncio.Event().wait()
        return messages.pop(0)

    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": raw,
        "state": {"request_id": "test"},
    }
    return Request(scope, receive)


def read(
    work: Callable[[Reader], Awaitable[Result]],
    chunks: Iterable[bytes] = (),
    headers: dict[str, str] | None = None,
    *,
    max_image: int = 1000,
    max_request: int = 5000,
    max_bytes: int = 10**6,
    timeout: float = 10.0,
    min_rate: int = 4096,
    stall: bool = False,
) -> Result:
    """What `work` makes of such a request."""

    async def scenario() -> Result:
        with ThreadPoolExecutor(1) as pool, Gate(9, max_bytes).ticket() as ticket:
            request = make_request(chunks, headers, stall=stall)
            limits = (max_image, max_request, timeout, min_rate, WIDTH)
            reader = Reader(request, ticket, pool, *limits)
            return await work(reader)

    return asyncio.run(scenario())
