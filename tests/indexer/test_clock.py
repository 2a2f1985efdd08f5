from __future__ import annotations

import time

import pytest

from indexer import clock


def test_it_is_the_time_and_does_not_jump_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = clock.now()
    assert abs(before - time.time()) < 3600
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 0 <= clock.now() - before < 60
