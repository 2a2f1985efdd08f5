"""The door: who is let in, to what, and what is said to the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from service.app import create_app
from service.authentication import Authentication
from service.errors import KINDS, TYPE_PREFIX
from service.keyfile import KeyFile
from service.keyring import Keyring
from service.keys import make
from service.limits import Limits
from service.metrics import Metrics
from service.middleware import Around
from service.scopes import ORDER, covers, scope_of
from service.settings import Settings
from tests.service.serving import RED, Service, eventually, picture, serving
from tests.service.slow import SlowEncoder

ROUTES: list[APIRoute] = create_app(Settings.model_construct()).state.calls
CALLS = sorted((method, route.path_format) for route in ROUTES for method in route.methods or ())
NOBODY: list[tuple[str, str]] = []


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self, kind: str) -> str:
        """The detail of what must be this problem."""
        document = json.loads(self.body)
        assert document["type"] == TYPE_PREFIX + kind
        assert document["status"] == self.status == KINDS[kind].status
        assert document["request_id"] == self.headers["x-request-id"]
        detail: str = document["detail"]
        return detail


class Door:
    """The door in front of an application that only tells who came in."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = Settings(cache=folder, **settings)
        self.file = KeyFile.of(self.settings)
        self.metrics = Metrics()
        self.behind: Callable[[], None] = lambda: None
        locked = Authentication(self._app, Keyring(self.file), Limits(self.settings), ROUTES)
        self.app = Around(locked, self.metrics)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.behind()
        await PlainTextResponse(f"{scope['state']['caller']}")(scope, receive, send)

    def key(self, *scopes: str, **options: Any) -> str:
        """A new key."""
        key, kept = make("me", scopes or ["read"], **options)
        self.file.add(kept)
        return key

    def call(self, method: str, path: str, headers: list[tuple[str, str]] = NOBODY) -> Answer:
        """One request, whose body must not be read."""
        sent: list[Message] = []

        async def receive() -> Message:
            raise AssertionError("the body is read")

        async def send(message: Message) -> None:
            sent.append(message)

        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        scope = {"type": "http", "method": method, "path": path, "headers": raw}
        asyncio.run(self.app(scope, receive, send))
        if not sent:
            return Answer(0, {}, b"")
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], found, sent[1]["body"])

    def ask(self, key: str | None, method: str = "GET", path: str = "/cache") -> Answer:
        """One request with this key."""
        return self.call(method, path, [] if key is None else bearer(key))


def bearer(key: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {key}")]


def filled(path: str) -> str:
    """The path of a call with something for its parameters."""
    return re.sub(r"\{\w+\}", "a/b" if "label" in path else "a", path)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path, key_burst=100_000)


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_every_call_lets_in_its_scope_and_no_less(door: Door, method: str, path: str) -> None:
    needed = scope_of(method, path)
    held = {scope: door.key(scope) for scope in ORDER}
    if needed is None:
        assert door.ask(None, method, filled(path)).status == 200
        return
    door.ask(None, method, filled(path)).problem("unauthenticated")
    for scope, key in held.items():
        answer = door.ask(key, method, filled(path))
        if covers([scope], needed):
            assert (answer.status, answer.body) == (200, b"me")
        else:
            assert f"the scope {needed}, got {scope}" in answer.problem("forbidden")


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_documentation_is_open(door: Door, path: str) -> None:
    door.key()
    assert door.ask(None, "GET", path).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("GET", "//cache"),
        ("GET", "/docs/"),
        ("GET", "/healthz/"),
        ("GET", "/redoc"),
        ("POST", "/healthz"),
        ("HEAD", "/cache"),
        ("OPTIONS", "/cache/add"),
        ("TRACE", "/classes/a"),
    ],
)
def test_what_is_no_call_is_closed_too(door: Door, method: str, path: str) -> None:
    key = door.key("read")
    assert "valid API key" in door.ask(None, method, path).problem("unauthenticated")
    assert door.ask(key, method, path).status == 200


def test_without_a_file_nobody_is_asked(door: Door) -> None:
    assert door.ask(None).body == b"None"
    assert door.ask("whatever", "DELETE", "/classes/a").body == b"None"


def test_missing_unknown_expired_and_revoked_keys_are_told_the_same(door: Door) -> None:
    good = door.key()
    expired = door.key(expires=datetime.now(UTC) - timedelta(seconds=1))
    revoked = door.key()
    door.file.revoke(revoked[4:16])
    wrong = [None, "", "x", good[:-1], good + "x", expired, revoked, "xma_" + "0" * 60]
    answers = [door.ask(key) for key in wrong]
    assert len({answer.problem("unauthenticated") for answer in answers}) == 1
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    assert door.ask(good).status == 200


def test_a_key_comes_in_either_header_but_no_two_keys(door: Door) -> None:
    mine, yours = door.key(), door.key()
    own: list[tuple[str, str]] = [("X-API-Key", mine)]
    basic = ("Authorization", "Basic eDp5")
    for headers in (bearer(mine), own, [*bearer(mine), *own], [basic, *own]):
        assert door.call("GET", "/cache", headers).status == 200
    assert door.call("GET", "/cache", [("authorization", f"bEARER  {mine}")]).status == 200
    for headers in (
        [*bearer(yours), *own],
        [*bearer(mine), *bearer(yours)],
        [*own, ("X-API-Key", yours)],
        [basic],
        [("Authorization", mine)],
        [("Authorization", "Bearer \xe9\xff")],
        [("X-API-Key", "")],
    ):
        door.call("GET", "/cache", headers).problem("unauthenticated")


def test_a_damaged_file_closes_the_door_to_everybody(door: Door) -> None:
    key = door.key("admin")
    assert door.ask(key).status == 200
    door.file.path.write_bytes(b"{")
    for given in (key, None):
        answer = door.ask(given)
        assert str(door.file.path) not in answer.problem("keys-unreadable")
        assert int(answer.headers["retry-after"]) > 0
    assert door.ask(None, "GET", "/healthz").status == 200


def test_a_key_over_its_rate_is_told_when_to_come_back(door: Door) -> None:
    key, other = door.key(rate=0.01, burst=2), door.key()
    assert [door.ask(key).status for _ in range(2)] == [200, 200]
    answer = door.ask(key)
    answer.problem("rate-limited")
    assert 90 < int(answer.headers["retry-after"]) <= 100
    assert door.ask(other).status == 200


@pytest.mark.parametrize("error", [ValueError, ClientDisconnect, asyncio.CancelledError])
def test_a_place_is_given_back_however_a_request_ends(
    door: Door, error: type[BaseException]
) -> None:
    key = door.key(concurrency=1)

    def fail() -> None:
        raise error

    door.behind = fail
    with contextlib.suppress(asyncio.CancelledError):
        assert door.ask(key).status in (0, 500)
    door.behind = lambda: None
    assert door.ask(key).status == 200


def test_the_log_has_the_keys_id_and_never_the_key(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    key = door.key()
    with caplog.at_level(logging.INFO, "xmadapter"):
        door.ask(key)
        door.ask(key, "POST", "/cache/add")
        door.ask(key + "x")
    lines: list[dict[str, Any]] = [record.fields for record in caplog.records]  # type: ignore[attr-defined]
    assert [line["status"] for line in lines] == [200, 403, 401]
    assert lines[0]["caller_id"] == key[4:16]
    assert "caller_id" not in lines[2]
    assert key[17:] not in f"{lines}"


def test_refused_requests_are_counted_by_route_and_make_no_others(door: Door) -> None:
    door.key()
    for number in range(50):
        door.ask(None, "GET", f"/classes/{number}")
        door.ask(None, "GET", f"/{number}")
    text = door.metrics.text().decode()
    routes = set(re.findall(r'xmadapter_requests_total\{method="GET",route="([^"]*)"', text))
    assert routes == {"/classes/{label}", "unmatched"}


def with_key(folder: Path, *scopes: str, **options: Any) -> tuple[str, str]:
    """A key of the service in this folder, and its id."""
    key, kept = make("me", scopes, **options)
    KeyFile(folder / "keys.json").add(kept)
    return key, kept.id


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("locked")
    encoder = SlowEncoder()
    key, _ = with_key(folder, "write", concurrency=1, burst=1000)
    with serving(folder, encoder=encoder) as service:
        service.http.headers["Authorization"] = f"Bearer {key}"
        yield service, encoder, folder


def test_a_service_with_keys_answers_those_who_have_one(
    locked: tuple[Service, SlowEncoder, Path],
) -> None:
    service, _, _ = locked
    assert service.teach("red", picture(RED)).status_code == 201
    assert service.ask(picture(RED)).json()["label"] == "red"
    nobody = {"Authorization": ""}
    service.problem(service.http.get("/cache", headers=nobody), 401, "unauthenticated")
    large = service.http.post("/classify", content=b"x" * 10**7, headers=nobody)
    service.problem(large, 401, "unauthenticated")
    assert service.http.get("/readyz", headers=nobody).status_code == 200


def test_a_running_service_sees_keys_come_and_go(
    locked: tuple[Service, SlowEncoder, Path],
) -> None:
    service, _, folder = locked
    key, identity = with_key(folder, "read")
    headers = {"Authorization": "", "X-API-Key": key}
    assert service.http.get("/cache", headers=headers).status_code == 200
    KeyFile(folder / "keys.json").revoke(identity)
    began = time.monotonic()
    assert service.http.get("/cache", headers=headers).status_code == 401
    assert time.monotonic() - began < 1


def test_a_caller_who_hangs_up_gives_the_place_back(
    locked: tuple[Service, SlowEncoder, Path],
) -> None:
    service, encoder, _ = locked
    host, port = service.http.base_url.host, service.http.base_url.port
    body = picture(RED)
    head = (
        f"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
        f"Authorization: {service.http.headers['Authorization']}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    encoder.hold()
    try:
        with socket.create_connection((host, port), timeout=10) as connection:
            connection.sendall(head.encode() + body)
            assert encoder.began.wait(10)
            service.problem(service.http.get("/cache"), 429, "rate-limited")
        eventually(lambda: service.http.get("/cache").status_code == 200)
    finally:
        encoder.free.set()


def test_where_others_reach_it_a_missing_file_lets_nobody_in(tmp_path: Path) -> None:
    with serving(tmp_path, published_host="0.0.0.0") as service:
        service.problem(service.http.get("/cache"), 503, "keys-unreadable")
