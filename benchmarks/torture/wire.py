"""Requests as bytes over raw sockets: cheap to send, so that the service gets the cores."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import httpx


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        status: of HTTP; 0 where the connection ended without an answer.
        seconds: from the request's first byte, or the connection's, to the answer's last.
        retry_after: whether it said when to come back.
    """

    status: int
    seconds: float
    retry_after: bool = False


@dataclass(frozen=True)
class Address:
    """Where a service listens."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Address:
        """The address in a URL."""
        parsed = httpx.URL(url)
        return cls(parsed.host, parsed.port or 80)


def post(path: str, body: bytes, content_type: str) -> bytes:
    """A whole request."""
    return head(path, content_type, f"Content-Length: {len(body)}") + body


def head(path: str, content_type: str, *headers: str) -> bytes:
    """A request without its body."""
    lines = [f"POST {path} HTTP/1.1", "Host: service", f"Content-Type: {content_type}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


class Connection(asyncio.Protocol):
    """One connection, with one request at a time; make it with `connect`.

    Attributes:
        closed: whether it can be used no more.
    """

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._received = bytearray()
        self._began = time.perf_counter()
        self._answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        # uvloop's transports have the methods, and not the class.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.closed = True
        self._writable.set()
        self._settle(0, b"")

    def pause_writing(self) -> None:
        """The service reads slower than this side writes."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It has read."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """A part of an answer."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        lines = bytes(self._received[:end]).lower()
        at = lines.find(b"\r\ncontent-length: ")
        length = int(lines[at + 18 :].split(b"\r", 1)[0]) if at >= 0 else 0
        if len(self._received) < end + 4 + length:
            return
        del self._received[: end + 4 + length]
        self.closed = self.closed or b"\r\nconnection: close" in lines
        self._settle(int(lines[9:12]), lines)

    def begin(self) -> None:
        """The next request's time begins."""
        self._began = time.perf_counter()
        if self._answer.done():
            self._answer = asyncio.get_running_loop().create_future()

    def write(self, data: bytes) -> None:
        """Send bytes, if anybody is there."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the service reads on, or is gone."""
        await self._writable.wait()

    @property
    def answered(self) -> bool:
        """Whether the request has its answer, or will not have one."""
        return self._answer.done()

    async def answer(self, seconds: float = 60.0) -> Reply:
        """The answer; one with status 0 if none comes in so many seconds."""
        try:
            return await asyncio.wait_for(asyncio.shield(self._answer), seconds)
        except TimeoutError:
            return Reply(0, time.perf_counter() - self._began)

    async def ask(self, request: bytes) -> Reply:
        """Send a request and wait for its answer."""
        self.begin()
        self.write(request)
        return await self.answer()

    def close(self) -> None:
        """End it."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def _settle(self, status: int, lines: bytes) -> None:
        if not self._answer.done():
            seconds = time.perf_counter() - self._began
            self._answer.set_result(Reply(status, seconds, b"\r\nretry-after: " in lines))


async def connect(address: Address) -> Connection:
    """A connection. Raises OSError."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, address.host, address.port)
    return connection


async def closed_loop(
    address: Address, requests: Sequence[bytes], callers: int, seconds: float
) -> list[Reply]:
    """What `callers` get, each of whom sends its next request when it has its answer."""
    end = time.perf_counter() + seconds

    async def caller(number: int) -> list[Reply]:
        replies: list[Reply] = []
        connection = await connect(address)
        while time.perf_counter() < end:
            if connection.closed:
                connection = await connect(address)
            replies.append(await connection.ask(requests[(number + len(replies)) % len(requests)]))
        connection.close()
        return replies

    found = await asyncio.gather(*map(caller, range(callers)))
    return [reply for replies in found for reply in replies]


async def steady(address: Address, request: bytes, rate: float, seconds: float) -> list[Reply]:
    """What one caller gets who sends `rate` requests a second, whatever the answers take."""
    connections: list[Connection] = [await connect(address)]
    replies: list[Reply] = []

    async def one() -> None:
        connection = connections.pop() if connections else await connect(address)
        replies.append(await connection.ask(request))
        if not connection.closed:
            connections.append(connection)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(max(int(rate * seconds), 1)):
            await asyncio.sleep(began + number / rate - time.perf_counter())
            group.create_task(one())
    for connection in connections:
        connection.close()
    return replies


def percentile(replies: Sequence[Reply], part: float = 0.99) -> float:
    """Seconds within which this part of the replies came; infinite where there are none."""
    times = sorted(reply.seconds for reply in replies)
    return times[min(math.ceil(part * len(times)), len(times)) - 1] if times else math.inf
