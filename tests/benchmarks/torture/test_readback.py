from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.torture import readback
from service.client import Client
from service.schemas import Classification
from tests.benchmarks.torture.fleets import local_fleet


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readback, "fleet", local_fleet)
    monkeypatch.setattr(readback, "PROCESSES", 2)
    monkeypatch.setattr(readback, "KEPT", 2)
    monkeypatch.setattr(readback, "PART", 2)


def test_every_write_is_read(tmp_path: Path) -> None:
    added, changed = readback.run(0.006, tmp_path)
    assert added.reached, added.line()
    assert added.figure == "60 of 60"
    assert changed.reached, changed.line()


def test_an_answer_from_before_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def old(self: Client, image: bytes, *, explain: int) -> Classification:
        found = Client.classify(self, image, explain=explain)
        return found.model_copy(update={"neighbors": []})

    class Forgetful(Client):
        classify = old  # type: ignore[assignment]

    monkeypatch.setattr(readback, "Client", Forgetful)
    added, _ = readback.run(0.0008, tmp_path)
    assert not added.reached
    assert added.figure.startswith("0 of 8; picture ")
