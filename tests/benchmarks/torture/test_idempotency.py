from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from benchmarks.torture import idempotency
from tests.benchmarks.torture.fleets import local_fleet


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "fleet", local_fleet)
    monkeypatch.setattr(idempotency, "CALLERS", 4)
    monkeypatch.setattr(idempotency, "ROUNDS", 1)
    monkeypatch.setattr(idempotency, "SPREAD", 0.1)


def test_one_answer_and_one_set_of_shots(tmp_path: Path) -> None:
    alone, together = idempotency.run(1, tmp_path)
    assert alone.reached, alone.line()
    assert alone.figure == "1 of 1 rounds"
    assert together.reached, together.line()
    assert "2 processes on one cache" in together.name


def test_two_answers_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_key(
        http: httpx.Client, label: str, images: Sequence[bytes], key: str
    ) -> httpx.Response:
        files = [("image", ("image", image)) for image in images]
        return http.post("/cache/add", data={"label": label}, files=files)

    monkeypatch.setattr(idempotency, "_send", without_key)
    for row in idempotency.run(1, tmp_path):
        assert not row.reached
        assert "round 0: expected ([201], 2, (422, " in row.figure
