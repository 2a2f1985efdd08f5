"""One connection, held to its limits: what uvicorn's own protocol leaves unbounded.

A connection that the service waits for (idle, or with its request still coming) is closed where
another one needs its place: so callers who say nothing never keep out one who does.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service import logs
from service.errors import Problem, busy
from service.middleware import UNREAD, WATCH
from service.refusals import Refusals, as_bytes
from service.settings import Settings

KEEP_ALIVE_SECONDS = 20
LINGER_SECONDS = 2.0
LINGER_BYTES = 2**20
MAX_HEADERS = 100
MAX_PIPELINED = 16


@dataclass(frozen=True)
class Limits:
    """What the connections of one server are held to.

    Attributes:
        connections: most that are open at once.
        head_seconds: in which a request's line and headers must have come.
        head_bytes: most of a request's line and headers.
        answer_seconds: in which a caller must take what was written.
        refusals: of requests while the queue is full; None leaves them to the application.
        waited_for: connections that the service waits for, the longest waited for first.
    """

    connections: int
    head_seconds: float
    head_bytes: int
    answer_seconds: float
    refusals: Refusals | None = None
    waited_for: dict[BoundedProtocol, None] = field(default_factory=dict)


def protocol(settings: Settings, refusals: Refusals | None = None) -> type[BoundedProtocol]:
    """The protocol of one server."""
    limits = Limits(
        connections=settings.max_connections,
        head_seconds=settings.header_timeout,
        head_bytes=settings.max_header_bytes,
        answer_seconds=settings.request_timeout,
        refusals=refusals,
    )
    return type("Protocol", (BoundedProtocol,), {"limits": limits})


class _Refused(Exception):  # noqa: N818 (stops the parser, and never leaves this module)
    """The request is not to be read any further."""


class _Line:
    """The transport as uvicorn uses it for answers: its end leaves time to read the last one."""

    def __init__(self, connection: BoundedProtocol) -> None:
        self._connection = connection
        self.is_closing = connection.transport.is_closing

    def write(self, data: bytes) -> None:
        """Write a part of an answer, unless the caller has hung up."""
        if not self.is_closing():
            self._connection.transport.write(data)

    def close(self) -> None:
        """End the connection."""
        self._connection.end(unread=self._connection.unread)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on heads, waiting, unread answers and connections."""

    limits: ClassVar[Limits]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._timer: asyncio.TimerHandle | None = None
        self._untaken: asyncio.TimerHandle | None = None
        self._in_head = False
        # Of the request that is coming: what was parsed, and what came since it began.
        self._parsed = 0
        self._received = 0
        self._header_count = 0
        self._discarded: int | None = None
        self._refusal: Problem | None = None
        self._turned_away = False
        self._hung_up: Callable[[], None] | None = None
        self._gone = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller has come; somebody else makes room if it must."""
        if len(self.connections) >= self.limits.connections and not self._room_made():
            self.transport = transport
            self._write(_crowded())
            transport.close()
            return
        super().connection_made(transport)
        self._wait(self.limits.head_seconds, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._tell_gone()
        self._wait_no_more()
        self._stop_untaken()
        super().connection_lost(exc)
        if self.cycle is not None:
            # Else the two would hold each other until the garbage collector comes.
            self.cycle.transport = self.transport

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request, or discard what comes after a refusal."""
        if self._discarded is not None:
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES:
                self.transport.abort()
            return
        if self._in_head:
            self._received += len(data)
        super().data_received(data)
        if self.transport.is_closing() or self._discarded is not None:
            return
        if self._turned_away:
            self._turn_away(close=True)
        elif self._in_head and self._received > self.limits.head_bytes:
            self._refuse(self._head_too_large())
        elif self._timer is None and self._idle:
            # Line breaks before a request have ended uvicorn's own wait for one.
            self._wait(self.limits.head_seconds, self._head_is_late)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        self._parsed = self._received = self._header_count = 0
        if self._idle:
            self._wait(self.limits.head_seconds, self._head_is_late)

    def on_url(self, url: bytes) -> None:
        """A part of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one that comes after the body counts, and is left out."""
        self._header_count += 1
        self._count(len(name) + len(value) + len(": \r\n"))
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._in_head = False
        refusals = self.limits.refusals
        if refusals and self._idle and refusals.due(self.parser.get_method()):
            self._turned_away = True
            return
        super().on_headers_complete()
        if len(self.pipeline) > MAX_PIPELINED:
            raise _Refused
        cycle = self.cycle
        cycle.transport = _Line(self)  # type: ignore[assignment]
        cycle.scope["state"][UNREAD] = lambda: cycle.more_body
        cycle.scope["state"][WATCH] = self.watch
        if not self.pipeline:
            # For the body, whose time is the application's to measure.
            self._wait()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._turned_away:
            return
        held: bytes | bytearray = self.cycle.body
        if not held:
            # As it is: uvicorn would copy it into an array, and that once more to hand it on.
            self.cycle.body = body  # type: ignore[assignment]
            body = b""
        elif isinstance(held, bytes):
            self.cycle.body = bytearray(held)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self._turned_away:
            self._turn_away(close=not self.parser.should_keep_alive())
            return
        super().on_message_complete()
        if not self._idle:
            self._wait_no_more()

    def on_response_complete(self) -> None:
        """The request is answered."""
        if self._discarded is not None or self.transport.is_closing():
            self.server_state.total_requests += 1
            return
        super().on_response_complete()
        if self.unread:
            self.end(unread=True)
        elif self._idle and self._in_head:
            self._wait(self.limits.head_seconds, self._head_is_late)
        elif self._idle:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read as a request."""
        malformed = Problem("malformed", "expected an HTTP/1.1 request, got something else")
        self._refuse(self._refusal or malformed)

    def timeout_keep_alive_handler(self) -> None:
        """No further request has come."""
        self.end(unread=False)

    def pause_writing(self) -> None:
        """The caller does not take what is written."""
        super().pause_writing()
        self._stop_untaken()
        self._untaken = self.loop.call_later(self.limits.answer_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The caller takes it again."""
        super().resume_writing()
        self._stop_untaken()

    def end(self, *, unread: bool) -> None:
        """Close, when the caller has taken its answer.

        To close while bytes of the caller's are `unread` would take the answer back: TCP then
        resets the connection. So they are read for a moment, and thrown away.
        """
        if self.transport.is_closing() or self._discarded is not None:
            return
        if unread:
            self._discarded = 0
            self.flow.resume_reading()
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self._wait(LINGER_SECONDS, self.transport.abort)
        else:
            self.transport.close()
            self._wait(self.limits.answer_seconds, self.transport.abort)

    def give_way(self) -> None:
        """Leave the place to another connection."""
        asked = self._in_head or not self._idle
        if asked and self._discarded is None:
            self._refuse(_crowded())
            self.transport.close()
            self.loop.call_later(LINGER_SECONDS, self.transport.abort)
        else:
            self.transport.abort()
        self._wait_no_more()

    def watch(self, hung_up: Callable[[], None] | None) -> None:
        """Have `hung_up` called when nobody waits any more for the answer that is under way."""
        self._hung_up = hung_up
        if self._gone:
            self._tell_gone()

    @property
    def unread(self) -> bool:
        """Whether a part of the body of the request that is being answered has not come."""
        return not self.pipeline and self.cycle.more_body

    @property
    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _tell_gone(self) -> None:
        self._gone = True
        if self._hung_up is not None:
            self._hung_up()

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > self.limits.head_bytes or self._header_count > MAX_HEADERS:
            self._refusal = self._head_too_large()
            raise _Refused

    def _head_too_large(self) -> Problem:
        return Problem(
            "headers-too-large",
            f"expected at most {self.limits.head_bytes} bytes of request line and headers, "
            f"and at most {MAX_HEADERS} headers, got more",
        )

    def _head_is_late(self) -> None:
        if not self._in_head:
            self.end(unread=False)
            return
        self._refuse(
            Problem(
                "slow-upload",
                "expected the whole request line and all headers within "
                f"{self.limits.head_seconds:g} seconds, got a part of them",
            )
        )

    def _refuse(self, problem: Problem) -> None:
        """Answer in place of the application, and end the connection."""
        if self.transport.is_closing() or self._discarded is not None:
            return
        self._in_head = False
        self.pipeline.clear()
        begun = not self._idle and self.cycle.response_started
        if not self._idle:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._tell_gone()
        if begun:
            self.transport.abort()
            return
        self._write(problem)
        self.end(unread=True)

    def _turn_away(self, *, close: bool) -> None:
        """Refuse a request since the queue is full; where all of it came, it may be followed."""
        self._turned_away = False
        if self.limits.refusals is None or self._discarded is not None:
            return
        common = self.server_state.default_headers
        method = self.parser.get_method()
        self.transport.write(self.limits.refusals.answer(method, self.headers, common, close=close))
        if close:
            self.end(unread=True)
        else:
            self._wait(self.timeout_keep_alive, self._head_is_late)

    def _write(self, problem: Problem) -> None:
        request_id = secrets.token_hex(16)
        common = self.server_state.default_headers
        self.transport.write(as_bytes(problem, common, request_id, close=True))
        logs.event("refused", kind=problem.kind, status=problem.status, request_id=request_id)

    def _room_made(self) -> bool:
        longest = next(iter(self.limits.waited_for), None)
        if longest is None:
            return False
        longest.give_way()
        return True

    def _wait(self, seconds: float | None = None, late: Callable[[], None] | None = None) -> None:
        """From now on the service waits for this caller, `late` being called in so many seconds."""
        self._wait_no_more()
        self.limits.waited_for[self] = None
        if seconds is not None and late is not None:
            self._timer = self.loop.call_later(seconds, late)

    def _wait_no_more(self) -> None:
        self.limits.waited_for.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_untaken(self) -> None:
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None


def _crowded() -> Problem:
    return busy("overloaded", "too many connections are open: try again after Retry-After seconds")
