"""The application in this process, served over HTTP until it is told to end.

What is heavy is imported when that begins, and not before.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from service import heap, logs
from service.settings import Settings, SettingsError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from starlette.types import ASGIApp
    from uvicorn import Config, Server

    from adapter.encoder import Encoder
    from service.assignment import Assignment
    from service.engine import Engine
    from service.refusals import Refusals

BACKLOG = 2048
# Of the cache, the model, the log.
OTHER_DESCRIPTORS = 256


class ServeError(RuntimeError):
    """The service cannot start, or go on; the message says why and what to do."""


def run(
    settings: Settings,
    encoder: Encoder | None,
    ready: Callable[[Engine], None],
    *,
    sockets: Sequence[socket.socket] = (),
    server_of: Callable[[Config], Server] | None = None,
    assignment: Assignment | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: of this process.
        encoder: to use instead of the one that the settings name.
        ready: called once the service can answer, on another thread.
        sockets: to listen on.
        server_of: makes the server; uvicorn's own, if not given.
        assignment: of a worker; None where this process is the whole service.

    Raises:
        ServeError: the model or the cache cannot be loaded.
    """
    # Imports and a large cache make objects by the million, and none of them is garbage: to look at
    # them again and again would take a fifth of the start.
    gc.disable()
    # Before torch is imported. A thread that spins until the next operation holds up those that
    # decode, and the other processes; its user's own wish goes before.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from indexer.preloading import preloading

        rows = preloading(settings.cache)
        import uvicorn

        from service.app import create_app

        app = create_app(settings, encoder, rows, assignment)
        # They are the engine's to let go of: a second copy of all keys, for as long as this runs.
        del rows
        make_room(2 * settings.max_connections)
        server = (server_of or uvicorn.Server)(configuration(app, settings, app.state.refusals))
        _serve(server, sockets, app.state.engine, ready)
    finally:
        gc.enable()


def _serve(
    server: Server,
    sockets: Sequence[socket.socket],
    engine: Engine,
    ready: Callable[[Engine], None],
) -> None:
    def started(outcome: Future[None]) -> None:
        if outcome.exception() is None:
            settle_memory()
            ready(engine)
        else:
            server.should_exit = True

    engine.started.add_done_callback(started)
    # The server raises the signal again once it has ended in good order; to end by it then
    # would look like a failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run(sockets=list(sockets))
    if engine.started.done():
        _raise_failure(engine.started.exception())


def configuration(app: ASGIApp, settings: Settings, refusals: Refusals | None = None) -> Config:
    """How uvicorn is to serve `app`; `refusals` are of requests that find the queue full."""
    from uvicorn import Config

    from service.protocol import KEEP_ALIVE_SECONDS, protocol

    return Config(
        app,
        http=protocol(settings, refusals),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=round(settings.request_timeout) + 1,
    )


def settle_memory() -> None:
    """Have the garbage collector look no more at what is there for good.

    Else each full collection holds up every thread for as long as it takes to look at the million
    objects that torch and the model consist of: a third of a second. Those of the requests that
    wait take a tenth, so full collections are made rare too. What reading the cache left behind
    goes back to the system.
    """
    heap.trim()
    # Without a collection first: what little the imports left behind is not worth its time.
    gc.freeze()
    gc.set_threshold(5_000, 5, 100)
    gc.enable()


def make_room(descriptors: int) -> None:
    """Let this process open so many more files and connections, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = descriptors + OTHER_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    if reachable < wanted:
        logs.trouble("few descriptors", wanted=wanted, allowed=reachable)


def _raise_failure(failure: BaseException | None) -> None:
    from adapter.encoder import EncoderError
    from adapter.networks import AdapterFileError
    from indexer.errors import CacheError, IndexUnavailable

    if isinstance(
        failure, EncoderError | AdapterFileError | CacheError | IndexUnavailable | SettingsError
    ):
        raise ServeError(str(failure)) from failure
    if failure is not None:
        raise failure
