from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.torture import service_kills
from benchmarks.torture.history import Acknowledged, Add, History
from benchmarks.torture.observing import Observed, observe, unserved
from benchmarks.torture.pictures import picture, sha256
from benchmarks.torture.sent import Sent
from benchmarks.torture.service_kills import Trial
from service.client import Client
from tests.service.serving import serving


def test_a_service_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_kills, "KILLS", 1)
    monkeypatch.setattr(service_kills, "LONGEST", 1.0)
    rows = service_kills.run(1, tmp_path)
    assert all(row.reached for row in rows), [row.line() for row in rows]
    assert rows[0].figure.startswith("1 kills; ")


def teach(client: Client, number: int) -> Acknowledged:
    data = picture(number)
    added = client.add("ant", [data])
    operation = Add("ant", ((sha256(data), None),), tuple(added.shot_ids))
    return Acknowledged(operation, added.cache_version)


def lose(observed: Observed) -> Observed:
    return Observed(observed.version, History().state, 0)


def double(observed: Observed) -> Observed:
    return Observed(observed.version, observed.state, 1)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [(lambda observed: observed, (0, 0, 0)), (lose, (2, 0, 0)), (double, (0, 1, 0))],
    ids=["sound", "lost", "doubled"],
)
def test_what_is_counted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Observed], Observed],
    expected: tuple[int, int, int],
) -> None:
    trial = Trial(tmp_path)
    monkeypatch.setattr(service_kills, "observe", lambda client: spoil(observe(client)))
    monkeypatch.setattr(service_kills, "SAMPLE", 0)
    with serving(tmp_path) as service, Client(service.url) as client:
        trial._sent = Sent(acknowledged=[teach(client, 0)])
        trial._compare(client)
    found = trial.found
    assert (found.lost, found.doubled, found.half_done) == expected
    assert len(found.notes) == (found.lost > 0)


def test_what_a_service_does_not_answer_with(tmp_path: Path) -> None:
    with serving(tmp_path) as service, Client(service.url) as client:
        teach(client, 0)
        state = observe(client).state
        asked = [(sha256(picture(0)), picture(0))]
        assert unserved(client, state, asked) == []
        client.forget(next(client.shots()).shot_id)
        (missing,) = unserved(client, state, asked)
        assert "no shot" in missing


def test_a_training_that_is_killed_is_counted(tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    trial.trainings.tend(random.Random(0))
    trial.trainings.end()
    assert trial.trainings.killed == 1
    assert trial.trainings.broken == []
