"""Around every request: its id, one line of log, the metrics, and the last catch."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs
from service.admission import Gate
from service.errors import INTERNAL, Problem
from service.headers import Headers, secured
from service.metrics import Metrics

REQUEST_ID_HEADER = "X-Request-ID"
CALLER_GONE = 499
# They never wait for the device.
QUEUELESS = ("GET", "HEAD", "OPTIONS")
# In the scope's state: whether a part of the body has not come yet.
UNREAD = "unread"
# Likewise: takes what is to be called when the caller hangs up, or None.
WATCH = "watch"
_ID_NAME = REQUEST_ID_HEADER.lower().encode()
_WELL_FORMED = re.compile(r"[A-Za-z0-9._~-]{1,128}", re.ASCII)


class CallerGone(Exception):  # noqa: N818 (no error of anybody's)
    """Nobody waits for the answer any more."""


def request_id_of(given: str | None) -> str:
    """The caller's own id where it is well-formed, else a new one."""
    return given if given and _WELL_FORMED.fullmatch(given) else secrets.token_hex(16)


class Admission:
    """Turns away what would have to queue while the queue is full: before its body, unread."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http" or scope["method"] in QUEUELESS:
            await self._app(scope, receive, send)
        elif self._gate.full:
            refusal = self._gate.refusal().response(scope["state"]["request_id"])
            await refusal(scope, receive, send)
        else:
            with self._gate.ticket() as ticket:
                scope["state"]["ticket"] = ticket
                unread: Callable[[], bool] | None = scope["state"].get(UNREAD)
                if unread is not None and not unread():
                    # Not when it is read: till then a burst would come through as a whole.
                    ticket.enter()
                await self._app(scope, receive, send)


class Around:
    """The outermost part of the application, as plain ASGI."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = request_id_of(_given_id(scope["headers"]))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        def send_with_id(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _headers(scope, message, request_id)
            return send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except (ClientDisconnect, CallerGone):
            status = CALLER_GONE
        except Exception as error:
            logs.failure("failed", error, request_id=request_id)
            if status:
                raise
            await Problem("internal", INTERNAL).response(request_id)(scope, receive, send_with_id)
        finally:
            scope["state"].pop(UNREAD, None)
            scope["state"].pop(WATCH, None)
            self._account(scope, request_id, status, time.perf_counter() - began)

    def _account(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", "unmatched")
        self._metrics.request(scope["method"], route, status, seconds)
        key_id = scope["state"].get("key")
        logs.event(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=status,
            ms=round(seconds * 1000, 1),
            request_id=request_id,
            **({} if key_id is None else {"caller_id": key_id}),
        )


def _given_id(headers: Headers) -> str | None:
    for name, value in headers:
        if name == _ID_NAME:
            return value.decode("latin-1")
    return None


def _headers(scope: Scope, message: Message, request_id: str) -> Headers:
    headers = secured(scope["path"], message["headers"])
    headers.append((_ID_NAME, request_id.encode()))
    unread: Callable[[], bool] | None = scope["state"].get(UNREAD)
    if unread is not None and unread() and not any(name == b"connection" for name, _ in headers):
        # Else the rest of the body would have to be read before the next request.
        headers.append((b"connection", b"close"))
    return headers
