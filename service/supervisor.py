"""The parent of a service's workers: accepts connections, and sees that the workers live.

It hands each connection to the worker that has the fewest. Were the listening socket shared, a
worker that is awake would take all that come at once; were each to have its own (SO_REUSEPORT),
chance would spread them. A connection stays where it is, so callers who keep theirs would feel
that for long. A worker that dies takes only its own connections with it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

from service import logs
from service.assignment import METRICS, prepare
from service.child import Child
from service.facts import Facts
from service.running import ServeError
from service.settings import Settings

ATTEMPTS = 3
# A worker that could answer for so long, in seconds, did not die of its start.
SETTLED = 30.0
LAST_WORDS_SECONDS = 1.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
# Beyond the time that a request may take, for the rest of a worker's end.
MORE_SECONDS = 8.0
ACCEPTED_AT_ONCE = 64
IN_MEMORY = Path("/dev/shm")


def supervise(
    settings: Settings,
    listener: socket.socket,
    announce: Callable[[Facts], None],
    program: Sequence[str],
) -> None:
    """Serve with several workers until SIGTERM or SIGINT; what is in flight is finished first.

    Args:
        settings: of the service.
        listener: where it listens.
        announce: called once, when all workers are ready, with what one of them told.
        program: the interpreter's arguments for a worker.

    Raises:
        ServeError: a worker says why it cannot start, or dies again and again; or they had to be
            killed: by a second signal, or since they did not end.
    """
    shared = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(
        prefix="xmadapter-", dir=shared, ignore_cleanup_errors=True
    ) as folder:
        asyncio.run(Supervisor(settings, listener, announce, program, Path(folder)).run())


class Supervisor:
    """See `supervise`; `folder` is the running service's own."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        announce: Callable[[Facts], None],
        program: Sequence[str],
        folder: Path,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._announce = announce
        self._program = program
        self._folder = folder
        self._children: dict[int, Child] = {}
        self._announced = False
        self._stopping = asyncio.Event()
        self._failure: str | None = None

    async def run(self) -> None:
        """Serve until the end. Raises ServeError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled)
        self._listener.setblocking(False)
        self._closed = prepare(self._folder, self._settings)
        try:
            await asyncio.gather(*map(self._keep, range(self._settings.workers)))
        finally:
            for child in self._children.values():
                child.kill()
        if self._failure is not None:
            raise ServeError(self._failure)

    async def _keep(self, worker: int) -> None:
        """See that one worker runs, until the service ends."""
        failures = 0
        while not self._stopping.is_set():
            child = await Child.start(self._program, self._folder, worker, self._closed)
            self._children[worker] = child
            if self._stopping.is_set():
                child.stop()
            how = await self._heed(child)
            self._bury(child)
            failures = 0 if child.served > SETTLED else failures + 1
            await self._replace(child, how, failures)

    async def _heed(self, child: Child) -> str:
        """Hear what a worker says until it ends; how it ended."""

        async def hear() -> None:
            async for what in child.heard():
                self._note(child, what)

        hearing = asyncio.create_task(hear())
        how = await child.ended()
        # Its last words. A process that it left behind may hold its end of the channel.
        with suppress(TimeoutError):
            await asyncio.wait_for(hearing, LAST_WORDS_SECONDS)
        child.close()
        return how

    def _note(self, child: Child, what: str) -> None:
        self._watch()
        if what != "ready":
            return
        logs.event("worker ready", worker=child.worker + 1, pid=child.pid)
        ready = [child.ready for child in self._children.values() if child.ready is not None]
        if not self._announced and len(ready) == self._settings.workers:
            self._announced = True
            self._announce(ready[-1])

    def _bury(self, child: Child) -> None:
        del self._children[child.worker]
        metrics = str(self._folder / METRICS)
        mark_process_dead(child.worker, metrics)  # type: ignore[no-untyped-call]
        self._watch()

    async def _replace(self, child: Child, how: str, failures: int) -> None:
        """Wait until a worker that has ended is to be started again, or give up."""
        if self._stopping.is_set():
            return
        if child.failure is not None and not self._announced:
            self._end(child.failure)
            return
        others = any(each.ready for each in self._children.values())
        if failures >= ATTEMPTS and not (self._announced and others):
            self._end(
                f"worker {child.worker + 1} of {self._settings.workers} ended {failures} times in "
                f"a row soon after its start (last: {child.failure or how}); what it logged before "
                "says more. If it was killed, memory may be short: each worker needs its own, so "
                "try fewer --workers (XMADAPTER_WORKERS)"
            )
            return
        pause = min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE) if failures else 0.0
        reason = child.failure or how
        logs.trouble(
            "worker ended", worker=child.worker + 1, pid=child.pid, reason=reason, again_in=pause
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause)

    def _signalled(self) -> None:
        if self._stopping.is_set():
            self._kill("ended by a second signal: what was in flight is not answered")
        else:
            self._end()

    def _end(self, failure: str | None = None) -> None:
        self._failure = self._failure or failure
        self._stopping.set()
        self._watch()
        self._listener.close()
        for child in self._children.values():
            child.stop()
        limit = self._settings.request_timeout + MORE_SECONDS
        late = f"workers did not end within {limit:g} s after they were told to, and were killed"
        asyncio.get_running_loop().call_later(limit, self._kill, late)

    def _kill(self, why: str) -> None:
        self._failure = self._failure or why
        for child in self._children.values():
            child.kill()

    # Connections

    def _watch(self) -> None:
        """Accept connections while there is a worker for them; else they wait in the backlog."""
        if self._listener.fileno() < 0:
            return
        loop = asyncio.get_running_loop()
        if not self._stopping.is_set() and any(child.up for child in self._children.values()):
            loop.add_reader(self._listener, self._accept)
        else:
            loop.remove_reader(self._listener)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno != errno.ECONNABORTED:
                    self._rest(error)
                    return
                continue
            with connection:
                self._hand(connection)

    def _rest(self, error: OSError) -> None:
        """Try again in a moment: there is no descriptor left, or no memory."""
        logs.trouble("connections cannot be accepted", reason=str(error))
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        loop.call_later(FIRST_PAUSE, self._watch)

    def _hand(self, connection: socket.socket) -> None:
        """Give a connection to the worker with the fewest; if none takes it, it is closed."""
        able = [child for child in self._children.values() if child.up]
        # While it loads, a worker only says so.
        able = [child for child in able if child.ready] or able
        for child in sorted(able, key=lambda child: (child.connections, child.handed)):
            if child.hand(connection):
                return
