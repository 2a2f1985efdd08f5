"""A peer's server as processes of their own, on a free port, until it is not needed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

START_SECONDS = 240.0
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        url: where it listens.
        pid: its first process.
    """

    url: str
    pid: int

    def pause(self) -> None:
        """Have none of its processes run, so that it takes nothing from what is measured."""
        os.killpg(self.pid, signal.SIGSTOP)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run while the block does."""
        os.killpg(self.pid, signal.SIGCONT)
        try:
            yield
        finally:
            self.pause()


@contextmanager
def running(
    command: Callable[[int], Sequence[str]],
    health: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Start a server, wait until it answers, and end it with all of its processes.

    Args:
        command: that serves at a port.
        health: path that is answered with 200 once it is ready.
        environment: variables for it, beside this process's own, of which the service's settings
            are left out.

    Raises:
        RuntimeError: it ended, or was not ready in time; its output is in the message.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command(port),
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**_environment(), **(environment or {})},
            start_new_session=True,
        )
        try:
            if not _ready(url + health, process):
                log.seek(0)
                raise RuntimeError(f"{' '.join(command(port))} did not start:\n{log.read()}")
            yield Running(url, process.pid)
        finally:
            _end(process)


def _ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Whether it answers, in time."""
    deadline = time.monotonic() + START_SECONDS
    # Nothing here is encrypted: to load certificates for each try would cost more than the try.
    with httpx.Client(timeout=5, trust_env=False, verify=False) as client:
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if client.get(url).status_code == 200:
                    return True
            time.sleep(0.1)
    return False


def _environment() -> dict[str, str]:
    """This process's own, less what would change the service's settings."""
    return {name: value for name, value in os.environ.items() if "XMADAPTER" not in name}


def _end(process: subprocess.Popen[bytes]) -> None:
    # The whole session: some servers leave their workers behind.
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            # One that is paused would not hear of it.
            os.killpg(process.pid, signal.SIGCONT)
        except ProcessLookupError:
            return
        try:
            process.wait(STOP_SECONDS if number == signal.SIGTERM else None)
        except subprocess.TimeoutExpired:
            continue


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
