"""A service: its socket, what it prints, and the one process or the several that answer.

What is heavy is imported once the address is this process's own: that it is not is then told at
once, and not after torch. The cache may be shared with other processes.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from service import exposure, hints, logs
from service.exposure import ExposedError
from service.facts import Facts, facts_of
from service.keyfile import KeyFile, KeyFileError
from service.running import BACKLOG, ServeError, run
from service.settings import Settings

if TYPE_CHECKING:
    from adapter.encoder import Encoder

WORKER = ("-m", "service.worker")


def serve(
    settings: Settings, encoder: Encoder | None = None, worker: Sequence[str] = WORKER
) -> None:
    """Serve until SIGTERM or SIGINT; what is in flight then is finished first.

    Args:
        settings: of the service.
        encoder: to use instead of the one that the settings name, where there is one worker.
        worker: the interpreter's arguments for a worker, where there are several.

    Raises:
        ServeError: others could reach it and there is no API key, the port is in use, the keys,
            the model or the cache cannot be loaded; see `service.supervisor` too.
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
        if settings.workers > 1:
            from service.supervisor import supervise

            supervise(settings, listener, lambda facts: announce(facts, settings, url), worker)
        else:
            ready = lambda engine: announce(facts_of(engine), settings, url)  # noqa: E731
            run(settings, encoder, ready, sockets=[listener])
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


def announce(facts: Facts, settings: Settings, url: str) -> None:
    """Print what to do now.

    Args:
        facts: of a process that answers.
        settings: of the service.
        url: of the service.
    """
    print(f"Ready: {facts.model}, {facts.classes} classes, {facts.shots} shots. Try:\n")
    with_key = KeyFile.of(settings).signature() is not None
    for line in hints.lines(url, settings.examples, with_key=with_key):
        print(line)
    notice = hints.notice(facts.model)
    print(f"\nNote: {notice}\n" if notice else "", flush=True)
