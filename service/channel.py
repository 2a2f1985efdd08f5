"""Between the supervisor and a worker: connections one way, what a worker says the other.

A connected pair of sockets. Each connection goes over as a descriptor; what a worker says is a line
of JSON. Its end tells either that the other is gone, however that ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

ROOM = 65536
AT_ONCE = 16


def hand(channel: socket.socket, connection: socket.socket) -> bool:
    """Hand a connection to a worker; False where it takes none now, or is gone."""
    try:
        socket.send_fds(channel, [b"."], [connection.fileno()])
    except OSError:
        return False
    return True


def taken(channel: socket.socket) -> list[socket.socket] | None:
    """Connections that were handed over, if any wait; None once the supervisor is gone."""
    try:
        sign, descriptors, _, _ = socket.recv_fds(channel, AT_ONCE, AT_ONCE)
    except BlockingIOError:
        return []
    except ConnectionError:
        return None
    return [socket.socket(fileno=each) for each in descriptors] if sign else None


def tell(channel: socket.socket, what: str, **facts: Any) -> None:
    """Say something to the supervisor; to nobody, where it is gone."""
    with contextlib.suppress(ConnectionError):
        channel.sendall(json.dumps({"what": what, **facts}).encode() + b"\n")


async def heard(channel: socket.socket) -> AsyncIterator[dict[str, Any]]:
    """What a worker says, until it ends."""
    loop, rest = asyncio.get_running_loop(), b""
    with contextlib.suppress(ConnectionError):
        while received := await loop.sock_recv(channel, ROOM):
            *lines, rest = (rest + received).split(b"\n")
            for line in lines:
                yield json.loads(line)
