"""A worker as its supervisor has it: a fresh interpreter, at the other end of a channel."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from service import channel
from service.assignment import threads_of
from service.facts import Facts

THREADS = "OMP_NUM_THREADS"


class Child:
    """One worker's process, from its start to its end. Made by `start`.

    Attributes:
        worker: its number, from 0.
        up: whether it takes connections.
        ready: what it told when it was ready to answer; None before.
        handed: connections that it was given.
        failure: why it cannot start, where it could say so.
        served: seconds for which it could answer, once it has ended.
    """

    def __init__(
        self,
        worker: int,
        process: asyncio.subprocess.Process,
        end: socket.socket,
        closed: memoryview,
    ) -> None:
        self.worker = worker
        self.up = False
        self.ready: Facts | None = None
        self.failure: str | None = None
        self.served = 0.0
        self._ready_at: float | None = None
        self._process = process
        self._channel = end
        self._closed = closed
        self.handed = 0

    @classmethod
    async def start(
        cls, program: Sequence[str], folder: Path, worker: int, closed: memoryview
    ) -> Child:
        """Start a worker.

        Args:
            program: the interpreter's arguments, to which those of the worker are added.
            folder: of the running service.
            worker: its number.
            closed: how many connections each worker has closed.
        """
        closed[worker] = 0
        ours, theirs = socket.socketpair()
        with theirs:
            given = (str(folder), str(worker), str(theirs.fileno()))
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                # Not the folder that it was started in, where there may be a `service` of others'.
                "-P",
                *program,
                *given,
                env=_environment(len(closed)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # Ctrl-C is the supervisor's to pass on: else it would come twice.
                process_group=0,
            )
        ours.setblocking(False)
        return cls(worker, process, ours, closed)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def connections(self) -> int:
        """That it was handed and has not closed."""
        return self.handed - int(self._closed[self.worker])

    async def heard(self) -> AsyncIterator[str]:
        """What it says, noted already, until it ends."""
        async for message in channel.heard(self._channel):
            what = message.pop("what")
            if what == "up":
                self.up = True
            elif what == "ready":
                self.ready = Facts(**message)
                self._ready_at = time.monotonic()
            else:
                self.failure = message["why"]
            yield what

    def hand(self, connection: socket.socket) -> bool:
        """Hand it a connection; False where it takes none."""
        handed = channel.hand(self._channel, connection)
        self.handed += handed
        return handed

    async def ended(self) -> str:
        """Wait for its end; how it ended, in words."""
        code = await self._process.wait()
        self.up, self.ready = False, None
        if self._ready_at is not None:
            self.served = time.monotonic() - self._ready_at
        return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"

    def close(self) -> None:
        """Let go of the channel, once it has ended."""
        self._channel.close()

    def stop(self) -> None:
        """Have it finish what is in flight, and end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)


def _environment(workers: int) -> dict[str, str]:
    # The user's own number of threads goes before ours.
    own = {THREADS: str(threads_of(workers)), **os.environ}
    return {**own, "PYTHONPATH": os.pathsep.join(sys.path)}
