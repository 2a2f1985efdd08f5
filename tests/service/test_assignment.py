"""What of a service's settings a worker gets."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from service.assignment import Assignment, prepare, share_of, threads_of
from service.settings import Settings


def test_what_holds_for_the_service_is_divided() -> None:
    settings = Settings(workers=4, max_queue=512, max_connections=1000, max_queue_bytes=512 * 2**20)
    part = share_of(settings)
    assert (part.max_queue, part.max_connections, part.max_queue_bytes) == (128, 250, 128 * 2**20)
    assert part.max_wait == settings.max_wait
    assert part.key_rate == settings.key_rate


def test_a_part_is_at_least_what_one_request_needs() -> None:
    part = share_of(Settings(workers=64, max_queue=2, max_connections=3))
    assert (part.max_queue, part.max_connections) == (1, 1)
    assert part.max_queue_bytes == part.max_request_bytes
    assert part.decode_threads >= 1


def test_threads_that_were_asked_for_are_each_workers() -> None:
    assert share_of(Settings(workers=4, decode_threads=3)).decode_threads == 3
    asked = share_of(Settings(workers=2))
    assert asked.decode_threads == max(1, (os.cpu_count() or 1) // 2)


@pytest.mark.skipif(sys.platform != "linux", reason="the cores of a process are Linux's to tell")
def test_cores_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    assert [threads_of(workers) for workers in (2, 3, 16, 64)] == [8, 5, 1, 1]


def test_a_worker_reads_what_the_supervisor_laid_out(tmp_path: Path) -> None:
    settings = Settings(workers=2, cache=tmp_path / "a b", cors_origins=["https://example.org"])
    closed = prepare(tmp_path, settings)
    one, other = (Assignment.read(tmp_path, worker) for worker in range(2))
    assert one.settings == other.settings == share_of(settings)
    assert one.metrics.is_dir()
    one.closed_connections()[0] += 2
    other.closed_connections()[1] += 1
    assert list(closed) == [2, 1]
