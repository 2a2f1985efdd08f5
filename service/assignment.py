"""What a worker is given to do: its settings, and what it shares with the others."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.mapped import mapped
from service.settings import Settings

if TYPE_CHECKING:
    from service.ledger import SharedLedger

SETTINGS = "settings.json"
CLOSED = "closed"
LEDGER = "ledger"
METRICS = "metrics"


def prepare(folder: Path, settings: Settings) -> memoryview:
    """Lay out a service's folder; how many connections each worker has closed, to be read."""
    (folder / METRICS).mkdir()
    (folder / SETTINGS).write_text(share_of(settings).model_dump_json(), encoding="utf-8")
    return closed_connections(folder, settings.workers)


def closed_connections(folder: Path, workers: int) -> memoryview:
    """How many connections each worker has closed: each writes its own number."""
    return mapped(folder / CLOSED, workers).cast("Q")


def share_of(settings: Settings) -> Settings:
    """One worker's settings: of what holds for the whole service, its part.

    A part is at least what one request needs, and so the parts may be more than the whole.
    """
    workers = settings.workers
    parts = {
        "max_queue": max(1, settings.max_queue // workers),
        "max_connections": max(1, settings.max_connections // workers),
        "max_queue_bytes": max(settings.max_request_bytes, settings.max_queue_bytes // workers),
    }
    if "decode_threads" not in settings.model_fields_set:
        parts["decode_threads"] = max(1, settings.decode_threads // workers)
    return settings.model_copy(update=parts)


def threads_of(workers: int) -> int:
    """Threads that computes in one worker: the cores that this process may use, divided."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores // workers)


@dataclass(frozen=True)
class Assignment:
    """One worker's.

    Attributes:
        folder: of the running service.
        worker: its number, from 0.
        settings: its part of the service's.
    """

    folder: Path
    worker: int
    settings: Settings

    @classmethod
    def read(cls, folder: Path, worker: int) -> Assignment:
        """That of the worker with this number."""
        text = (folder / SETTINGS).read_text(encoding="utf-8")
        return cls(folder, worker, Settings.model_validate_json(text))

    @property
    def metrics(self) -> Path:
        """Folder of the service's counts."""
        return self.folder / METRICS

    def ledger(self) -> SharedLedger:
        """Where the use of API keys is counted."""
        # Not for the supervisor, which has no need of what this brings along.
        from service.ledger import SharedLedger

        return SharedLedger(self.folder / LEDGER, self.settings.workers, self.worker)

    def closed_connections(self) -> memoryview:
        """See above."""
        return closed_connections(self.folder, self.settings.workers)
