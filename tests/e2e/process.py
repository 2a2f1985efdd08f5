"""A service in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from service.client import Client

ROOT = Path(__file__).resolve().parents[2]
PIXELS = ("-m", "tests.e2e.pixels")
CLI = ("-m", "service.cli")
START_SECONDS = 100.0
END_SECONDS = 60.0


def environment(**settings: object) -> dict[str, str]:
    """This process's own, with these settings and no other."""
    kept = {name: value for name, value in os.environ.items() if "XMADAPTER" not in name}
    given = {f"XMADAPTER_{name.upper()}": str(value) for name, value in settings.items()}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **given}


class Process:
    """One that runs, or ran.

    Attributes:
        url: where it listens, once it said so.
        printed: the lines that it printed so far.
    """

    def __init__(self, *arguments: str, cwd: Path, **settings: object) -> None:
        self.printed: list[str] = []
        self.logged: list[str] = []
        self.url = ""
        self._ready = threading.Event()
        self._popen = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            env=environment(**{"port": 0, **settings}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(self._popen.stdout, self.printed)),
            threading.Thread(target=self._read, args=(self._popen.stderr, self.logged)),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._popen.pid

    def ready(self) -> Client:
        """Wait until it answers; a client of it."""
        assert self._ready.wait(START_SECONDS), self.logged
        assert self.url, f"it ended instead:\n{''.join(self.logged)}"
        return Client(self.url, timeout=END_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._popen.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; the exit code."""
        code = self._popen.wait(END_SECONDS)
        for reader in self._readers:
            reader.join(10)
        return code

    def end(self) -> None:
        """Make sure that it is gone."""
        if self._popen.poll() is None:
            self._popen.kill()
        self.wait()
        for stream in (self._popen.stdout, self._popen.stderr):
            if stream is not None:
                stream.close()

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            lines.append(line)
            page = re.fullmatch(r"(http://\S+)/docs\n", line)
            if page:
                self.url = page[1]
                self._ready.set()
        self._ready.set()


@contextmanager
def running(*arguments: str, cwd: Path, **settings: object) -> Iterator[Process]:
    """Start one; whatever happens, it does not outlive the block."""
    process = Process(*arguments, cwd=cwd, **settings)
    try:
        yield process
    finally:
        process.end()
