"""A worker: one of the processes that answer for a service; `service.supervisor` starts it.

    python -m service.worker FOLDER NUMBER DESCRIPTOR

FOLDER is the running service's, NUMBER the worker's, DESCRIPTOR its end of the channel.
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from service import channel, logs
from service.assignment import Assignment
from service.facts import facts_of
from service.running import ServeError, run

if TYPE_CHECKING:
    from uvicorn import Config

    from adapter.encoder import Encoder
    from service.engine import Engine
    from service.handed import HandedServer


def work(arguments: Sequence[str], encoder: Encoder | None = None) -> None:
    """Answer until the supervisor says that it is enough, or is gone.

    Args:
        arguments: see the module.
        encoder: to use instead of the one that the settings name.
    """
    folder, number, descriptor = arguments
    assignment = Assignment.read(Path(folder), int(number))
    settings = assignment.settings
    logs.configure(settings.log_format, worker=assignment.worker + 1)
    with socket.socket(fileno=int(descriptor)) as end:
        end.set_inheritable(False)
        try:
            _serve(assignment, end, encoder)
        except ServeError as error:
            channel.tell(end, "failed", why=str(error))
            sys.exit(1)


def _serve(assignment: Assignment, end: socket.socket, encoder: Encoder | None) -> None:
    from service import metrics

    metrics.share(assignment.metrics, assignment.worker)
    servers: list[HandedServer] = []

    def server_of(config: Config) -> HandedServer:
        from service.handed import HandedServer

        closed = assignment.closed_connections()
        servers.append(HandedServer(config, end, closed, assignment.worker))
        return servers[0]

    def ready(engine: Engine) -> None:
        channel.tell(end, "ready", **facts_of(engine)._asdict())

    run(assignment.settings, encoder, ready, server_of=server_of, assignment=assignment)
    if servers[0].orphaned:
        # The supervisor can do it no more.
        shutil.rmtree(assignment.folder, ignore_errors=True)


if __name__ == "__main__":
    work(sys.argv[1:])
