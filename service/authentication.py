"""The door: who calls, whether they may, and how much; before a body is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from service import keys
from service.errors import Problem, busy
from service.keyfile import KeyFileError
from service.keyring import Keyring
from service.keys import Key
from service.limits import Limits
from service.scopes import OPEN_PAGES, covers, scope_of
from service.scopes import Scope as KeyScope

KEY_HEADER = "X-API-Key"
# The same for a key that is missing, unknown, expired or revoked: which one is nobody's business.
UNKNOWN = (
    f"expected a valid API key, as `Authorization: Bearer KEY` or `{KEY_HEADER}: KEY`: "
    "`xmadapter keys create NAME` makes one"
)
CLOSED = "the service cannot read its API keys, so it lets nobody in; its log says why"


class Authentication:
    """Asks for a key where keys are asked for, as plain ASGI.

    What comes after it finds in the request's state `caller`, the key's name, and `key`, its id;
    both are None where no key was asked for.

    Args:
        app: what is behind the door.
        keyring: the keys.
        limits: of each key.
        routes: the calls, whose scopes `scope_of` knows.
    """

    def __init__(
        self, app: ASGIApp, keyring: Keyring, limits: Limits, routes: Iterable[APIRoute]
    ) -> None:
        self._app = app
        self._keyring = keyring
        self._limits = limits
        self._routes = tuple(routes)
        self._plain = dict(self._plain_routes())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state.update(caller=None, key=None)
        with ExitStack() as held:
            try:
                key = self._let_in(scope)
                if key is not None:
                    state.update(caller=key.name, key=key.id)
                    held.enter_context(self._limits.enter(key))
            except Problem as refusal:
                await refusal.response(state["request_id"])(scope, receive, send)
                return
            await self._app(scope, receive, send)

    def _let_in(self, scope: Scope) -> Key | None:
        """The key of a request that may be answered; None where none is needed.

        Raises:
            Problem: it may not.
        """
        needed = self._needed(scope)
        if needed is None:
            return None
        try:
            known = self._keyring.keys()
        except KeyFileError as error:
            raise busy("keys-unreadable", CLOSED, retry_after=10) from error
        if known is None:
            return None
        key = keys.check(known, _given(scope), datetime.now(UTC))
        if key is None:
            raise Problem("unauthenticated", UNKNOWN, headers={"WWW-Authenticate": "Bearer"})
        if not covers(key.scopes, needed):
            raise _forbidden(scope, key, needed)
        return key

    def _needed(self, scope: Scope) -> KeyScope | None:
        """The scope that a request needs, by the very rules that route it afterwards."""
        if scope["path"] in OPEN_PAGES:
            return None
        route = self._plain.get((scope["method"], scope["path"])) or self._route(scope)
        if route is None:
            return "read"
        # For the metrics and the log, should it come no further.
        scope["route"] = route
        return scope_of(scope["method"], route.path_format)

    def _route(self, scope: Scope) -> APIRoute | None:
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                matched: APIRoute = found["route"]
                return matched
        return None

    def _plain_routes(self) -> Iterator[tuple[tuple[str, str], APIRoute]]:
        """By method and path, the routes of the paths that are what they look like."""
        for path in {route.path for route in self._routes if not route.param_convertors}:
            for method in {each for route in self._routes for each in route.methods or ()}:
                scope: Scope = {"type": "http", "method": method, "path": path, "headers": []}
                route = self._route(scope)
                if route is not None:
                    yield (method, path), route


def _given(scope: Scope) -> str:
    """The key that came with a request; nothing where none came, or several."""
    headers = Headers(scope=scope)
    given = set(headers.getlist(KEY_HEADER))
    for value in headers.getlist("Authorization"):
        scheme, _, credentials = value.partition(" ")
        # Another scheme may be that of a proxy in front.
        if scheme.lower() == "bearer":
            given.add(credentials.strip())
    return given.pop() if len(given) == 1 else ""


def _forbidden(scope: Scope, key: Key, needed: KeyScope) -> Problem:
    return Problem(
        "forbidden",
        f"{scope['method']} {scope['route'].path_format}: expected a key with the scope {needed}, "
        f"got {' and '.join(key.scopes)}; `xmadapter keys create NAME --scope {needed}` makes one",
    )
