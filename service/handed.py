"""uvicorn's server for connections that were accepted elsewhere and handed over."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from uvicorn import Config, Server

from service import channel, logs
from service.protocol import BoundedProtocol


class HandedServer(Server):
    """Serves what comes over a channel, until it is told to end or the other end is gone.

    Args:
        config: as for uvicorn's; its `http` is a `BoundedProtocol`.
        end: of the channel.
        closed: how many connections each worker has closed.
        worker: whose server this is.

    Attributes:
        orphaned: whether the other end of the channel is gone.
    """

    def __init__(self, config: Config, end: socket.socket, closed: memoryview, worker: int) -> None:
        super().__init__(config)
        self.orphaned = False
        self._end = end
        self._closed = closed
        self._worker = worker
        self._adopting: set[asyncio.Task[object]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await super().startup(sockets=[])
        kind = self.config.http_protocol_class
        assert issubclass(kind, BoundedProtocol)
        self._counted = _counted(kind, self._count)
        self._loop = asyncio.get_running_loop()
        self._end.setblocking(False)
        self._loop.add_reader(self._end, self._take)
        channel.tell(self._end, "up")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more, and finish what is in flight."""
        self._loop.remove_reader(self._end)
        await super().shutdown(sockets)

    def _take(self) -> None:
        connections = channel.taken(self._end)
        if connections is None:
            self._loop.remove_reader(self._end)
            self.orphaned = self.should_exit = True
            return
        for connection in connections:
            task = self._loop.create_task(self._adopt(connection))
            self._adopting.add(task)
            task.add_done_callback(self._adopting.discard)

    async def _adopt(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError as error:
            # Its caller has gone meanwhile.
            logs.event("connection lost", reason=str(error))
            connection.close()
            self._count()

    def _protocol(self) -> BoundedProtocol:
        return self._counted(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _count(self) -> None:
        self._closed[self._worker] += 1


def _counted(kind: type[BoundedProtocol], lost: Callable[[], None]) -> type[BoundedProtocol]:
    """A protocol that tells when its connection is gone."""

    def connection_lost(self: BoundedProtocol, error: Exception | None) -> None:
        kind.connection_lost(self, error)
        lost()

    return type(kind.__name__, (kind,), {"connection_lost": connection_lost})
