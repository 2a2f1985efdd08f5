from __future__ import annotations

import ctypes
import sys

import pytest

from service import heap


def test_it_asks_the_c_library_to_give_all_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(heap, "_release", lambda: asked.append)
    heap.trim()
    assert asked == [0]


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has it")
def test_a_heap_with_holes_shrinks() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:  # noqa: PTH123 (no path of ours)
            return int(file.read().split()[1])

    # Small enough for the heap, and the last keeps its end in use.
    blocks = [bytes([1]) * 2000 for _ in range(20_000)]
    last = blocks.pop()
    blocks.clear()
    before = resident()
    heap.trim()
    assert before - resident() > 5_000
    assert len(last) == 2000


def test_without_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: object) -> object:
        raise OSError("no such library")

    heap._release.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", missing)
    heap.trim()
    assert heap._release() is None
    heap._release.cache_clear()
