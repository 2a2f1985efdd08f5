"""A service in this process: a real socket, the encoder without weights, pictures of one colour."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import uvicorn
from fastapi import FastAPI
from PIL import Image

from adapter.encoder import Encoder, PixelEncoder
from service.app import create_app
from service.engine import Engine
from service.running import configuration
from service.server import listen
from service.settings import Settings

RED, GREEN, BLUE, WHITE = (220, 20, 20), (20, 200, 20), (20, 20, 220), (250, 250, 250)


@dataclass(frozen=True)
class Service:
    """One that is running."""

    url: str
    http: httpx.Client
    app: FastAPI

    @property
    def engine(self) -> Engine:
        """Its inside."""
        engine: Engine = self.app.state.engine
        return engine

    def teach(self, label: str, *images: bytes, **params: Any) -> httpx.Response:
        """POST /cache/add as a form."""
        files = [("image", ("image", image)) for image in images]
        return self.http.post("/cache/add", data={"label": label}, files=files, params=params)

    def ask(self, image: bytes, **params: Any) -> httpx.Response:
        """POST /classify as a raw body."""
        headers = {"Content-Type": "image/png"}
        return self.http.post("/classify", content=image, headers=headers, params=params)

    def delete_class(self, label: str) -> httpx.Response:
        """DELETE /classes/{label}."""
        return self.http.delete(f"/classes/{segment(label)}")

    @property
    def version(self) -> int:
        """Of its cache."""
        version: int = self.engine.cache.version
        return version

    def settle(self) -> None:
        """Wait until its numbers are those of the shots that there are."""
        eventually(lambda: self.engine.cache.fitted_version == self.version)

    def problem(self, response: httpx.Response, status: int, kind: str) -> str:
        """The detail of what must be this problem."""
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        document = response.json()
        assert document["type"] == f"urn:xmadapter:problem:{kind}"
        assert document["status"] == status
        assert document["title"]
        assert document["request_id"] == response.headers["x-request-id"]
        detail: str = document["detail"]
        return detail


def segment(label: str) -> str:
    """A label as a part of a path; a dot too, which clients resolve away."""
    return quote(label, safe="").replace(".", "%2E")


def picture(
    colour: tuple[int, ...] = RED,
    size: tuple[int, int] = (48, 48),
    form: str = "PNG",
    *,
    mark: int = 0,
    **options: Any,
) -> bytes:
    """An image file of one colour; `mark` makes its bytes differ without much changing its look."""
    image = Image.new("RGB", size, colour[:3])
    if mark:
        image.putpixel((mark % size[0], mark // size[0]), (mark % 256, 128, 128))
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@contextmanager
def serving(
    folder: Path, *, encoder: Encoder | None = None, wait: bool = True, **settings: Any
) -> Iterator[Service]:
    """Run a service on a free port, with its cache in `folder`."""
    made = Settings(cache=folder, port=0, decode_threads=2, **settings)
    app = create_app(made, encoder or PixelEncoder())
    with listen("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(configuration(app, made, app.state.refusals))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            if wait:
                app.state.engine.started.result(30)
            with httpx.Client(base_url=url, timeout=30) as http:
                yield Service(url, http, app)
        finally:
            server.should_exit = True
            thread.join(30)
    assert not thread.is_alive()


def eventually(check: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it did not become so in time"
        time.sleep(0.005)
