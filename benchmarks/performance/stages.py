"""Where the time of one request goes: a lone caller's, stage by stage, in a real service.

The service runs in this process, with a clock around each of its stages; the caller is a process
of its own. Of what the caller waits, each stage takes a part, so the parts add up to the whole.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import uvicorn
from starlette.types import Receive, Scope, Send

from adapter.encoder import Encoder
from adapter.images import open_image, to_pixels
from benchmarks.performance.figures import Budget, Part
from benchmarks.performance.load import Target, closed_loop, post
from indexer.cache import Cache
from service.answers import verdicts, written
from service.app import create_app
from service.middleware import Around
from service.running import configuration, settle_memory
from service.server import listen
from service.settings import Settings
from service.streaming import Reader

READ = "read the body"
DECODE = "decode"
RESIZE = "resize"
HANDED_ON = "hand-overs between threads, the queue"
ENCODE = "encode"
HEAD = "head"
RENDER = "render the answer"
AROUND = "door, headers, metrics, log"
OUTSIDE = "HTTP: parser, kernel, caller"

CAME = "the body has come"
WRITTEN = "the answer is written"

WARM_SECONDS = 0.5
START_SECONDS = 120.0


class Clock:
    """What the stages of requests take, which must come one after the other.

    Attributes:
        requests: of each that was answered, seconds by stage, and the moments at which its body
            was there and its answer written.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, float]] = []
        self._current: dict[str, float] = {}

    def mean(self, name: str) -> float:
        """ms a request."""
        return 1000 * statistics.fmean(request[name] for request in self.requests)

    def around(self, name: str, work: Callable[..., Any], done: str = "") -> Callable[..., Any]:
        """`work`, timed; `done` names the moment at which it ends."""

        @wraps(work)
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*arguments, **named)
            finally:
                self._add(name, began, done)

        return timed

    def awaiting(
        self, name: str, work: Callable[..., Awaitable[Any]], done: str = ""
    ) -> Callable[..., Awaitable[Any]]:
        """`work`, timed until it is done."""

        @wraps(work)
        async def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return await work(*arguments, **named)
            finally:
                self._add(name, began, done)

        return timed

    def whole(self, name: str, app: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        """`app`, an ASGI application, each of whose requests is timed; one that fails is none."""

        @wraps(app)
        async def timed(owner: Any, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(owner, scope, receive, send)
                return
            self._current = {}
            began = time.perf_counter()
            await app(owner, scope, receive, send)
            self._add(name, began, "")
            if WRITTEN in self._current:
                self.requests.append(self._current)

        return timed

    def _add(self, name: str, began: float, done: str) -> None:
        end = time.perf_counter()
        self._current[name] = self._current.get(name, 0.0) + end - began
        if done:
            self._current[done] = end


def measure(
    name: str,
    cache: Path,
    encoder: Encoder,
    images: Sequence[bytes],
    content_type: str = "image/jpeg",
    seconds: float = 5.0,
) -> Budget:
    """The budget of one POST /classify with a raw body on an otherwise idle service.

    Means over the requests of a closed loop of one caller, since only means add up.

    Args:
        name: of the budget.
        cache: folder of a cache of the encoder's model, with at least one class.
        encoder: to serve.
        images: sent in turn.
        content_type: of the images.
        seconds: of the load that counts.

    Raises:
        RuntimeError: not all requests were answered well.
    """
    clock = Clock()
    with clocked(clock, encoder), serving(cache, encoder) as url:
        address = f"{url}/classify"
        target = Target(address, [post(address, image, content_type) for image in images])
        closed_loop(target, 1, WARM_SECONDS, 0.0)
        clock.requests.clear()
        load = closed_loop(target, 1, seconds, 0.0)
    if load.failed:
        raise RuntimeError(f"expected 200 for each request, got {load.statuses}")
    return budget(name, clock, 1000 * statistics.fmean(load.times))


def budget(name: str, clock: Clock, whole: float) -> Budget:
    """What a clock's stages took of the ms that the caller waited."""
    stages = {stage: clock.mean(stage) for stage in (DECODE, RESIZE, ENCODE, HEAD, RENDER)}
    inside = clock.mean(WRITTEN) - clock.mean(CAME)
    parts = {
        READ: clock.mean(READ),
        **stages,
        HANDED_ON: inside - sum(stages.values()),
        AROUND: clock.mean(AROUND) - clock.mean(READ) - inside,
        OUTSIDE: whole - clock.mean(AROUND),
    }
    return Budget(name, whole, tuple(Part(stage, ms) for stage, ms in parts.items()))


@contextmanager
def clocked(clock: Clock, encoder: Encoder) -> Iterator[None]:
    """Put the clock around each stage of the services of this process, for a while."""
    timed = [
        patch.object(Reader, "content", clock.awaiting(READ, Reader.content, CAME)),
        patch("service.images.open_image", clock.around(DECODE, open_image)),
        patch("service.images.to_pixels", clock.around(RESIZE, to_pixels)),
        patch.object(encoder, "encode_images", clock.around(ENCODE, encoder.encode_images)),
        patch.object(Cache, "classify", clock.around(HEAD, Cache.classify)),
        patch("service.engine.verdicts", clock.around(RENDER, verdicts)),
        patch("service.routes.classify.written", clock.around(RENDER, written, WRITTEN)),
        patch.object(Around, "__call__", clock.whole(AROUND, Around.__call__)),
    ]
    with ExitStack() as patches:
        for each in timed:
            patches.enter_context(each)
        yield


@contextmanager
def serving(cache: Path, encoder: Encoder) -> Iterator[str]:
    """The address of a service in this process."""
    settings = Settings(cache=cache, port=0)
    app = create_app(settings, encoder)
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(configuration(app, settings, app.state.refusals))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            app.state.engine.started.result(START_SECONDS)
            settle_memory()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
