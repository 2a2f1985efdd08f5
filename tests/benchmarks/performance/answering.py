"""A small HTTP server whose answers a test chooses."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = Callable[[int], bytes | None]
"""The number of a request, from 0, to its whole answer; None ends the connection instead."""


def answer(status: int = 200, body: bytes = b"{}") -> bytes:
    """A whole answer."""
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


class Server:
    """One that answers requests one after another.

    Attributes:
        url: where it listens.
        asked: the bodies that came.
        most: the most requests that were under way at once.
    """

    def __init__(self, answers: Answer, delay: float, stall: tuple[int, float]) -> None:
        self.url = ""
        self.asked: list[bytes] = []
        self.most = 0
        self._answers = answers
        self._delay = delay
        self._stall = stall
        self._under_way = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                number = len(self.asked)
                self.asked.append(await reader.readexactly(length))
                self._under_way += 1
                self.most = max(self.most, self._under_way)
                if number == self._stall[0]:
                    # The whole server stands still, and not this connection alone.
                    time.sleep(self._stall[1])  # noqa: ASYNC251
                await asyncio.sleep(self._delay)
                self._under_way -= 1
                given = self._answers(number)
                if given is None:
                    return
                writer.write(given)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@contextmanager
def answering(
    answers: Answer = lambda number: answer(),
    *,
    delay: float = 0.0,
    stall: tuple[int, float] = (-1, 0.0),
) -> Iterator[Server]:
    """Serve from a thread.

    Args:
        answers: what to answer.
        delay: seconds before each answer.
        stall: at which request, and for how many seconds, all of it stands still.
    """
    server = Server(answers, delay, stall)
    ready, ended = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        listener = await asyncio.start_server(server.take, "127.0.0.1", 0)
        server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/ask"
        ready.set()
        await ended.wait()
        listener.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield server
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
