"""A process that serves: its socket, its signals, what it prints, how it ends.

What is heavy is imported once the address is this process's own: that it is not is then told at
once, and not after torch. The cache may be shared with other processes.
"""

from __future__ import annotations

import errno
import gc
import resource
import signal
import socket
from contextlib import closing
from typing import TYPE_CHECKING

from service import exposure, hints, logs
from service.exposure import ExposedError
from service.keyfile import KeyFile, KeyFileError
from service.settings import Settings, SettingsError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from starlette.types import ASGIApp
    from uvicorn import Config

    from adapter.encoder import Encoder
    from service.engine import Engine
    from service.refusals import Refusals

BACKLOG = 2048
# Of the cache, the model, the log.
OTHER_DESCRIPTORS = 256


class ServeError(RuntimeError):
    """The service cannot start; the message says why and what to do."""


def serve(settings: Settings, encoder: Encoder | None = None) -> None:
    """Serve until SIGTERM or SIGINT; what is in flight then is finished first.

    Raises:
        ServeError: others could reach it and there is no API key, the port is in use, the keys,
            the model or the cache cannot be loaded.
    """
    logs.configure(settings.log_format)
    try:
        warning = exposure.check(settings)
    except (ExposedError, KeyFileError) as error:
        raise ServeError(str(error)) from error
    if warning is not None:
        logs.trouble("insecure", warning=warning)
        print(f"WARNING: {warning}", flush=True)
    with closing(listen(settings.host, settings.port)) as listener:
        url = hints.address(settings.host, listener.getsockname()[1])
        logs.event("starting", url=url, model=settings.model, cache=settings.cache)
        _run(settings, encoder, listener, url)
        logs.event("stopped")


def listen(host: str, port: int) -> socket.socket:
    """A bound socket.

    Raises:
        ServeError: the address is in use or is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Now, and not when the model is loaded: else two processes could both bind.
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ServeError(
                f"port {port} of {host} is in use by another program: stop that one, "
                "or choose another port with --port (XMADAPTER_PORT)"
            ) from error
        raise ServeError(
            f"cannot listen on {host} port {port}: {error}; choose another --host or --port"
        ) from error
    return listener


def _run(settings: Settings, encoder: Encoder | None, listener: socket.socket, url: str) -> None:
    # Imports and a large cache make objects by the million, and none of them is garbage: to look at
    # them again and again would take a fifth of the start.
    gc.disable()
    try:
        _serve(settings, encoder, listener, url)
    finally:
        gc.enable()


def _serve(settings: Settings, encoder: Encoder | None, listener: socket.socket, url: str) -> None:
    from indexer.preloading import preloading

    rows = preloading(settings.cache)
    import uvicorn

    from service.app import create_app

    app = create_app(settings, encoder, rows)
    make_room(2 * settings.max_connections)
    server = uvicorn.Server(configuration(app, settings, app.state.refusals))
    engine: Engine = app.state.engine

    def started(outcome: Future[None]) -> None:
        if outcome.exception() is None:
            settle_memory()
            announce(engine, url)
        else:
            server.should_exit = True

    engine.started.add_done_callback(started)
    # The server raises the signal again once it has ended in good order; to end by it then
    # would look like a failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
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
    wait take a tenth, so full collections are made rare too.
    """
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


def announce(engine: Engine, url: str) -> None:
    """Print what to do now."""
    info = engine.cache.info()
    print(f"Ready: {info.model}, {info.classes} classes, {info.shots} shots. Try:\n")
    with_key = KeyFile.of(engine.settings).signature() is not None
    for line in hints.lines(url, engine.settings.examples, with_key=with_key):
        print(line)
    notice = hints.notice(info.model)
    print(f"\nNote: {notice}\n" if notice else "", flush=True)
