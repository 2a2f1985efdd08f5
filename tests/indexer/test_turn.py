"""One at a time, where that can be had."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from indexer import turn as module
from indexer.turn import turn


def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    order: list[str] = []
    begun = threading.Event()

    def second() -> None:
        begun.set()
        with turn(tmp_path):
            order.append("second")

    thread = threading.Thread(target=second)
    with turn(tmp_path):
        thread.start()
        assert begun.wait(10)
        thread.join(0.05)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.02)
    entered = False
    with turn(tmp_path), turn(tmp_path):
        entered = True
    assert entered


def test_where_no_file_can_be_made_there_is_no_turn_to_wait_for(tmp_path: Path) -> None:
    entered = 0
    for _ in range(2):
        with turn(tmp_path / "none"), turn(tmp_path / "none"):
            entered += 1
    assert entered == 2
