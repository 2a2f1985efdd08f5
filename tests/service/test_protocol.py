"""Connections, byte by byte, to an application that tells what it got."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from service import protocol
from service.admission import Gate
from service.metrics import Metrics
from service.middleware import Around
from service.protocol import BoundedProtocol
from service.refusals import Refusals
from service.running import configuration
from service.server import listen
from service.settings import Settings

OK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
MEGABYTE = b"x" * 2**20


HUNG_UP = threading.Event()


async def watch(scope: Scope) -> None:
    """Until the caller hangs up, which the server must tell of itself."""
    gone = asyncio.Event()
    scope["state"]["watch"](gone.set)
    await gone.wait()
    scope["state"]["watch"](None)
    HUNG_UP.set()


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """/: what came; /early: an answer before the body; /large: 8 MB; /work: takes 0.3 seconds;
    /watch: none, until the caller hangs up.
    """
    body, more = b"", True
    while more and scope["path"] != "/early":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if scope["path"] == "/watch":
        await watch(scope)
        return
    if scope["path"] == "/work":
        await asyncio.sleep(0.3)
    found = {"body": len(body), "headers": len(scope["headers"])}
    answer = 8 * MEGABYTE if scope["path"] == "/large" else json.dumps(found).encode()
    length = str(len(answer)).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]}
    )
    await send({"type": "http.response.body", "body": answer})


class Line:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 5)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def head(self) -> str:
        """The next answer's head; its body is skipped; "" once the connection is closed."""
        data = b""
        while b"\r\n\r\n" not in data:
            try:
                got = self.socket.recv(1)
            except ConnectionResetError:
                return ""
            if not got:
                return ""
            data += got
        head = data.decode()
        length = re.search(r"content-length: (\d+)", head)
        assert length
        self.body = b""
        while len(self.body) < int(length[1]):
            self.body += self.socket.recv(int(length[1]) - len(self.body))
        return head

    def ask(self, data: bytes) -> str:
        self.send(data)
        return self.head()

    @property
    def closed(self) -> bool:
        """Whether it ends now, within the time of the socket."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


Connect = Callable[[], Line]


@contextmanager
def serving(folder: Path, gate: Gate | None = None, **given: Any) -> Iterator[Connect]:
    metrics = Metrics()
    app = Around(echo, metrics)
    refusals = None if gate is None else Refusals(gate, metrics)
    lines: list[Line] = []
    with listen("127.0.0.1", 0) as listener:
        config = configuration(app, Settings(cache=folder, **given), refusals)
        config.lifespan = "off"
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        port = listener.getsockname()[1]

        def connect() -> Line:
            lines.append(Line(port))
            return lines[-1]

        try:
            yield connect
        finally:
            for line in lines:
                line.socket.close()
            server.should_exit = True
            thread.join(10)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def connect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connect]:
    with serving(tmp_path_factory.mktemp("cache"), header_timeout=0.3) as made:
        yield made


def test_requests_follow_each_other_on_one_connection(connect: Connect) -> None:
    line = connect()
    for _ in range(3):
        head = line.ask(OK)
        assert head.startswith("HTTP/1.1 200 OK")
        assert "\r\ndate: " in head
        assert "\r\nserver: " not in head
        assert "\r\nconnection: " not in head


def refused(line: Line, status: int, kind: str) -> str:
    """The head of what must be this problem, and the last answer on its connection."""
    head = line.head()
    assert head.startswith(f"HTTP/1.1 {status} "), head
    document = json.loads(line.body)
    assert document["type"] == f"urn:xmadapter:problem:{kind}"
    assert document["status"] == status
    assert document["request_id"]
    for header in (
        "connection: close",
        "content-type: application/problem+json",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "date: ",
    ):
        assert f"\r\n{header}" in head
    assert line.closed
    return head


@pytest.mark.parametrize("begun", [b"", b"\r\n\r\n"])
def test_a_caller_who_says_nothing_is_let_go(connect: Connect, begun: bytes) -> None:
    line = connect()
    began = time.monotonic()
    line.send(begun)
    assert line.closed
    assert 0.25 < time.monotonic() - began < 2


@pytest.mark.parametrize("before", [b"", OK])
def test_a_head_that_comes_too_slowly(connect: Connect, before: bytes) -> None:
    line = connect()
    if before:
        line.ask(before)
    began = time.monotonic()
    line.send(b"GET / HTTP/1.1\r\n")
    for _ in range(2):
        time.sleep(0.1)
        line.send(b"A: b\r\n")
    refused(line, 408, "slow-upload")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 33_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * 33_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"x" * 300_000,
    ],
    ids=["address", "header", "headers", "endless"],
)
def test_a_head_that_is_too_large(connect: Connect, head: bytes) -> None:
    line = connect()
    for start in range(0, len(head), 10_000):
        line.send(head[start : start + 10_000])
        time.sleep(0.001)
    refused(line, 431, "headers-too-large")


def test_a_head_below_the_limit(connect: Connect) -> None:
    line = connect()
    head = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 90 + b"B: " + b"x" * 30_000 + b"\r\n\r\n"
    assert line.ask(head).startswith("HTTP/1.1 200")
    assert json.loads(line.body)["headers"] == 91


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
        OK * 40,
    ],
)
def test_what_is_no_request_is_a_400_and_the_next_caller_is_served(
    connect: Connect, data: bytes
) -> None:
    line = connect()
    line.send(data)
    refused(line, 400, "malformed")
    assert connect().ask(OK).startswith("HTTP/1.1 200")


def test_a_few_requests_may_come_at_once(connect: Connect) -> None:
    line = connect()
    line.send(OK * 3)
    assert [line.head()[:12] for _ in range(3)] == ["HTTP/1.1 200"] * 3


def test_an_upgrade_is_not_made(connect: Connect) -> None:
    upgrade = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert connect().ask(upgrade).startswith("HTTP/1.1 200")


def test_headers_after_a_chunked_body_are_not_the_requests(connect: Connect) -> None:
    line = connect()
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert line.ask(head + b"3\r\nabc\r\n0\r\nA: b\r\nB: c\r\n\r\n").startswith("HTTP/1.1 200")
    assert json.loads(line.body) == {"body": 3, "headers": 1}
    line.send(head + b"0\r\n" + b"A: b\r\n" * 200)
    refused(line, 431, "headers-too-large")


def test_an_answer_before_the_body_can_be_read_and_ends_the_connection(connect: Connect) -> None:
    line = connect()
    line.send(b"POST /early HTTP/1.1\r\nContent-Length: 500000\r\n\r\n")
    line.send(b"x" * 400_000)
    head = line.head()
    assert head.startswith("HTTP/1.1 200")
    assert "\r\nconnection: close" in head
    assert line.closed


def test_a_body_that_came_unread_costs_nobody_the_connection(connect: Connect) -> None:
    line = connect()
    for _ in range(2):
        head = line.ask(b"POST /early HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
        assert "\r\nconnection: " not in head


def test_an_endless_body_after_its_answer_is_cut_off(connect: Connect) -> None:
    line = connect()
    line.send(b"POST /early HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    megabytes = b"100000\r\n" + MEGABYTE + b"\r\n"
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        line.send(megabytes * 64)


def test_a_caller_who_does_not_take_the_answer_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = threading.Event()
    before = BoundedProtocol.connection_lost

    def connection_lost(self: BoundedProtocol, exc: Exception | None) -> None:
        before(self, exc)
        lost.set()

    monkeypatch.setattr(BoundedProtocol, "connection_lost", connection_lost)
    with serving(tmp_path, request_timeout=0.3) as connect:
        connect().send(b"GET /large HTTP/1.1\r\n\r\n")
        assert lost.wait(3)


def test_an_idle_connection_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "KEEP_ALIVE_SECONDS", 0.2)
    with serving(tmp_path) as connect:
        line = connect()
        line.ask(OK)
        began = time.monotonic()
        assert line.closed
        assert 0.1 < time.monotonic() - began < 2


def test_those_who_only_wait_make_room_and_the_longest_first(tmp_path: Path) -> None:
    with serving(tmp_path, max_connections=2) as connect:
        idle = connect()
        idle.ask(OK)
        slow = connect()
        slow.send(b"GET / HT")
        time.sleep(0.05)
        first = connect()
        assert first.ask(OK).startswith("HTTP/1.1 200")
        assert idle.closed
        second = connect()
        assert second.ask(OK).startswith("HTTP/1.1 200")
        assert "retry-after: 1" in refused(slow, 503, "overloaded")
        assert first.ask(OK).startswith("HTTP/1.1 200")


def test_a_slow_body_makes_room_too_and_work_does_not(tmp_path: Path) -> None:
    with serving(tmp_path, max_connections=2) as connect:
        slow, working = connect(), connect()
        slow.send(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
        time.sleep(0.05)
        working.send(b"GET /work HTTP/1.1\r\n\r\n")
        time.sleep(0.05)
        first = connect()
        refused(slow, 503, "overloaded")
        assert working.head().startswith("HTTP/1.1 200")
        assert first.ask(OK).startswith("HTTP/1.1 200")


def test_where_all_are_at_work_a_newcomer_is_told_to_come_back(tmp_path: Path) -> None:
    with serving(tmp_path, max_connections=1) as connect:
        working = connect()
        working.send(b"GET /work HTTP/1.1\r\n\r\n" + OK)
        time.sleep(0.1)
        newcomer = connect()
        assert working.head().startswith("HTTP/1.1 200")
        refused(newcomer, 503, "overloaded")
        assert working.head().startswith("HTTP/1.1 200")


@pytest.mark.parametrize("after", [b"", OK, b"GET /"])
def test_who_hangs_up_is_told_of(connect: Connect, after: bytes) -> None:
    HUNG_UP.clear()
    line = connect()
    line.send(b"POST /watch HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" + after)
    assert not HUNG_UP.wait(0.05)
    line.socket.close()
    assert HUNG_UP.wait(5)


def test_a_body_in_many_pieces_is_whole(connect: Connect) -> None:
    pieces = b"".join(b"%x\r\n%s\r\n" % (size, b"x" * size) for size in (1, 70_000, 3, 4))
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    line = connect()
    line.ask(head + pieces + b"0\r\n\r\n")
    assert json.loads(line.body)["body"] == 70_008


ADD = b"POST / HTTP/1.1\r\nX-Request-ID: mine\r\nContent-Length: 3\r\n\r\n"


def test_while_the_queue_is_full_requests_are_refused_where_they_are_read(tmp_path: Path) -> None:
    gate = Gate(1, 100)
    with serving(tmp_path, gate) as connect:
        line = connect()
        assert line.ask(ADD + b"abc").startswith("HTTP/1.1 200")
        gate.join(1)
        for _ in range(2):
            head = line.ask(ADD + b"abc")
            assert head.startswith("HTTP/1.1 503")
            assert "\r\nretry-after: 1\r\n" in head
            assert "\r\nx-request-id: mine\r\n" in head
            assert "\r\nconnection: " not in head
            assert json.loads(line.body)["type"] == "urn:xmadapter:problem:overloaded"
            assert line.ask(OK).startswith("HTTP/1.1 200")
        gate.quit(1, worked=False)
        assert line.ask(ADD + b"abc").startswith("HTTP/1.1 200")
        assert json.loads(line.body)["body"] == 3


@pytest.mark.parametrize("began", [ADD, ADD + b"ab", ADD.replace(b"1.1", b"1.0") + b"abc"])
def test_what_has_not_come_of_a_refused_request_ends_the_connection(
    tmp_path: Path, began: bytes
) -> None:
    gate = Gate(1, 100)
    gate.join(1)
    with serving(tmp_path, gate) as connect:
        line = connect()
        line.send(began)
        assert "retry-after: 1" in refused(line, 503, "overloaded")
