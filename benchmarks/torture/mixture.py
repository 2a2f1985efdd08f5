"""Every kind of request to a service, one after another, from one caller; good and bad."""

from __future__ import annotations

import base64
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from benchmarks.torture.pictures import NO_PICTURE, picture

KEPT = 25
"""Shots that a caller has in the cache when it does not just teach."""

SIDE = 224
APART = 10_000_000
"""Numbers of pictures that each caller has for itself."""

JSON = {"Content-Type": "application/json"}
PNG = {"Content-Type": "image/png"}
TEXT = {"Content-Type": "text/plain"}

Step = Callable[[], object]


class Mixture:
    """One caller.

    Attributes:
        requests: that it sent.
        versions: that its changes made, each a change of its own.
        wrong: answers that were not as expected.
    """

    def __init__(self, url: str, number: int) -> None:
        self.requests = 0
        self.versions: list[int] = []
        self.wrong: list[str] = []
        self._http = httpx.Client(base_url=url, timeout=60)
        self._label = f"class {number}"
        self._numbers = itertools.count(number * APART)
        self._shots: deque[str] = deque()

    def go(self, over: threading.Event, pause: float) -> None:
        """Fill its part of the cache; then send and rest `pause` seconds, until it is `over`."""
        with self._http:
            while len(self._shots) < KEPT:
                self._teach(1)
            for _ in self._for_ever():
                if over.wait(pause):
                    return

    def _for_ever(self) -> Iterator[None]:
        while True:
            for step in (*self._questions(), *self._changes(), *self._lists(), *self._mistakes()):
                step()
                yield

    def _questions(self) -> list[Step]:
        return [self._ask_raw, self._ask_form, self._ask_json, self._ask_batch]

    def _changes(self) -> list[Step]:
        named = f"{self._label} for a while"
        path = f"/classes/{named}"
        return [
            lambda: self._teach(2),
            lambda: self._change("PATCH", self._shot(), json={"label": f"{self._label} too"}),
            lambda: self._forget(),
            lambda: self._forget(),
            lambda: self._change("PUT", path, 201, json={"prompts": ["a photo of a thing."]}),
            lambda: self._change("DELETE", path),
        ]

    def _lists(self) -> list[Step]:
        paths = ("/cache", "/cache/shots?limit=50", "/classes", "/metrics", "/readyz")
        steps = [lambda path=path: self._send("GET", path) for path in paths]
        return [*steps, lambda: self._send("GET", f"{self._shot()}/image")]

    def _mistakes(self) -> list[Step]:
        form = [("image", ("image", NO_PICTURE))]
        return [
            lambda: self._send("POST", "/classify", 422, content=NO_PICTURE, headers=PNG),
            lambda: self._send("POST", "/classify", 415, content=b"what", headers=TEXT),
            lambda: self._send("POST", "/classify?top_k=0", 422, content=b"x", headers=PNG),
            lambda: self._send("POST", "/classify", 400, content=b"{", headers=JSON),
            lambda: self._send("POST", "/cache/add", 422, data={"label": "x"}, files=form),
            lambda: self._send("DELETE", "/classes/nothing of that name", 404),
            lambda: self._send("GET", "/cache/shots/none", 404),
            lambda: self._send("GET", "/nowhere", 404),
        ]

    def _ask_raw(self) -> None:
        self._send("POST", "/classify", content=self._picture(), headers=PNG)

    def _ask_form(self) -> None:
        self._send("POST", "/classify", files=_files(self._picture()))

    def _ask_json(self) -> None:
        image = base64.b64encode(self._picture()).decode()
        self._send("POST", "/classify", json={"image": image})

    def _ask_batch(self) -> None:
        images = [self._picture() for _ in range(3)]
        self._send("POST", "/classify/batch", files=_files(*images, NO_PICTURE))

    def _teach(self, count: int) -> None:
        files = _files(*(self._picture() for _ in range(count)))
        body = self._change("POST", "/cache/add", 201, data={"label": self._label}, files=files)
        self._shots.extend(body.get("shot_ids", []))

    def _forget(self) -> None:
        self._change("DELETE", self._shot())
        self._shots.popleft()

    def _shot(self) -> str:
        return f"/cache/shots/{self._shots[0]}"

    def _picture(self) -> bytes:
        return picture(next(self._numbers), SIDE)

    def _change(self, method: str, path: str, status: int = 200, **request: Any) -> dict[str, Any]:
        """Send what changes the cache, and note its version."""
        answer = self._send(method, path, status, **request)
        body: dict[str, Any] = answer.json()
        if answer.is_success:
            self.versions.append(body["cache_version"])
        return body

    def _send(self, method: str, path: str, status: int = 200, **request: Any) -> httpx.Response:
        answer = self._http.request(method, path, **request)
        self.requests += 1
        if answer.status_code != status:
            said = f"{method} {path}: expected {status}, got {answer.status_code}"
            self.wrong.append(f"{said}: {answer.text[:200]}")
        return answer


def _files(*images: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("image", ("image", image)) for image in images]
