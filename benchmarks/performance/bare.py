"""The least that an HTTP server can do: read a body, answer with a constant.

    python -m benchmarks.performance.bare {asyncio,starlette} --port PORT

`asyncio` speaks only as much HTTP as the client here sends; `starlette` is a plain route under
uvicorn. What our service takes beyond these is its own.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast, get_args

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.performance.peers_process import Running, running

Kind = Literal["asyncio", "starlette"]

ANSWER = b"{" + b" " * 998 + b"}"
"""Of about the length of a classification."""


class _Reader(asyncio.Protocol):
    """One connection: whole requests in, a constant for each out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            _, named, after = self._buffer[:end].lower().partition(b"content-length:")
            length = int(after.split(b"\r\n")[0]) if named else 0
            if len(self._buffer) < end + 4 + length:
                return
            del self._buffer[: end + 4 + length]
            assert self._transport is not None
            head = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            )
            self._transport.write(head % len(ANSWER) + ANSWER)


async def _route(request: Request) -> Response:
    await request.body()
    return Response(ANSWER, media_type="application/json")


async def _listen(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Reader, "127.0.0.1", port)
    await server.serve_forever()


@contextmanager
def bare(kind: Kind) -> Iterator[Running]:
    """Such a server in a process of its own. Raises RuntimeError where it does not start."""
    module = [sys.executable, "-m", "benchmarks.performance.bare", kind]
    with running(lambda port: [*module, "--port", str(port)], "/") as server:
        yield server


def main() -> None:
    """Serve until it is stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=get_args(Kind))
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    if given.kind == "asyncio":
        uvloop.run(_listen(given.port))
        return
    routes = [Route("/{path:path}", _route, methods=["GET", "POST"])]
    uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=given.port, access_log=False)


if __name__ == "__main__":
    main()
