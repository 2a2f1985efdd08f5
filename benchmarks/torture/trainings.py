"""`xmadapter train` beside a service, one after another, each killed if it takes too long."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

from tests.e2e.process import CLI, environment

LONGEST = 12.0
SHORT = ("--quiet", "--force", "--epochs", "2", "--least-steps", "20")


class Trainings:
    """Of one cache.

    Attributes:
        finished, killed, refused: how many ended so; refused is for lack of shots, say.
        broken: what those said that ended in any other way.
    """

    def __init__(self, cache: Path) -> None:
        self.finished = self.killed = self.refused = 0
        self.broken: list[str] = []
        self._cache = cache
        self._popen: subprocess.Popen[str] | None = None
        self._said: IO[str] | None = None
        self._timer: threading.Timer | None = None

    def tend(self, chance: random.Random) -> None:
        """Begin one, unless one is under way; it is killed at a random moment, or before."""
        if self._popen is not None:
            if self._popen.poll() is None:
                return
            self._account()
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed once it was read)
        self._popen = subprocess.Popen(
            [sys.executable, *CLI, "train", str(self._cache), *SHORT],
            cwd=self._cache.parent,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            text=True,
        )
        self._timer = threading.Timer(chance.uniform(0, LONGEST), self._popen.kill)
        self._timer.start()

    def end(self) -> None:
        """Make sure that none goes on."""
        if self._popen is not None:
            self._popen.kill()
            self._account()

    def _account(self) -> None:
        assert self._popen is not None
        assert self._said is not None
        assert self._timer is not None
        code = self._popen.wait()
        self._timer.cancel()
        self._timer.join()
        self._said.seek(0)
        said = self._said.read()
        self._said.close()
        self._popen = None
        if code in (0, 3):
            self.finished += 1
        elif code == -signal.SIGKILL:
            self.killed += 1
        elif said.startswith("Error: "):
            self.refused += 1
        else:
            self.broken.append(said)
