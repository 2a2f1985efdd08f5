"""A process that serves: its socket, its lock, its signals, what it prints, how it ends.

What is heavy is imported once address and cache are this process's own: that they are not is
then told at once, and not after torch.
"""

from __future__ import annotations

import errno
import signal
import socket
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from service import hints, logs
from service.lock import CacheLocked, cache_lock
from service.settings import Settings, SettingsError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from adapter.encoder import Encoder
    from service.engine import Engine

BACKLOG = 2048


class ServeError(RuntimeError):
    """The service cannot start; the message says why and what to do."""


def serve(settings: Settings, encoder: Encoder | None = None) -> None:
    """Serve until SIGTERM or SIGINT; what is in flight then is finished first.

    Raises:
        ServeError: the port or the cache is in use, the model or the cache cannot be loaded.
    """
    logs.configure(settings.log_format)
    with closing(listen(settings.host, settings.port)) as listener, ExitStack() as held:
        url = hints.address(settings.host, listener.getsockname()[1])
        logs.event("starting", url=url, model=settings.model, cache=settings.cache)
        try:
            held.enter_context(cache_lock(settings.cache, f"xmadapter serve on {url}"))
        except CacheLocked as error:
            raise ServeError(str(error)) from error
        except OSError as error:
            raise ServeError(f"the cache {settings.cache} cannot be written: {error}") from error
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
    import uvicorn

    from service.app import create_app

    app = create_app(settings, encoder)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=round(settings.request_timeout) + 1,
    )
    server = uvicorn.Server(config)
    engine: Engine = app.state.engine

    def started(outcome: Future[None]) -> None:
        if outcome.exception() is None:
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
    for line in hints.lines(url, engine.settings.examples):
        print(line)
    notice = hints.notice(info.model)
    print(f"\nNote: {notice}\n" if notice else "", flush=True)
