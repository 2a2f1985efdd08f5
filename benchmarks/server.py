"""A real service in a process of its own, on a free port, for measuring."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.client import Client, ServiceError, ServiceUnreachable

START_SECONDS = 120.0
FIT_SECONDS = 120.0


@dataclass(frozen=True)
class Server:
    """A running service.

    Attributes:
        client: calls it.
        pid: its process.
        start_seconds: from the process's start to its first "ready".
        url: where it listens.
    """

    client: Client
    pid: int
    start_seconds: float
    url: str = ""

    def settle(self) -> None:
        """Wait until the numbers that answers are made with are fitted to all shots."""
        deadline = time.monotonic() + FIT_SECONDS
        while time.monotonic() < deadline:
            info = self.client.cache()
            if info.fitted_version == info.version:
                return
            time.sleep(0.02)
        raise TimeoutError(f"the fit did not catch up within {FIT_SECONDS:.0f} s")

    def resident_megabytes(self) -> float:
        """Resident memory of the process, in MB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError(f"no VmRSS in /proc/{self.pid}/status: is this Linux?")


@contextmanager
def serving(cache: Path, *arguments: str) -> Iterator[Server]:
    """Start `xmadapter serve` on `cache`, wait until it is ready, stop it at the end.

    Raises:
        RuntimeError: it ended, or was not ready in time; its output is in the message.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port)]
    with tempfile.TemporaryFile("w+") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            [*command, "--cache", str(cache), *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if "XMADAPTER" not in name},
        )
        try:
            url = f"http://127.0.0.1:{port}"
            with Client(url, timeout=120) as client:
                while not _ready(client):
                    late = time.monotonic() - began > START_SECONDS
                    if late or process.poll() is not None:
                        log.seek(0)
                        raise RuntimeError(f"the service did not start:\n{log.read()}")
                    time.sleep(0.05)
                yield Server(client, process.pid, time.monotonic() - began, url)
        finally:
            process.terminate()
            process.wait(timeout=60)


def _ready(client: Client) -> bool:
    try:
        client.ready()
    except (ServiceError, ServiceUnreachable):
        return False
    return True
