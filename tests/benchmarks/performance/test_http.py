"""Rounds over HTTP against servers whose answers are known, and the work done directly."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient

from adapter.encoder import PixelEncoder, load_encoder
from benchmarks.performance import http
from benchmarks.performance.http import Saturation, Times
from benchmarks.performance.http_caches import taught_features, taught_pictures
from benchmarks.performance.http_direct import Cost, Direct
from benchmarks.performance.http_servers import Server
from benchmarks.performance.inputs import drawn
from benchmarks.performance.load import Load, Target
from benchmarks.performance.peers_plain import CACHE, create_app
from benchmarks.performance.peers_process import Running
from indexer.cache import Cache

TIMES = Times(rounds=2, seconds=1.0, warm=0.0)


class Known(Server):
    """One that answers each request in so many milliseconds, at whatever rate."""

    def __init__(self, name: str, milliseconds: float, said: list[str]) -> None:
        target = Target("http://127.0.0.1:9/classify", [b"x"])
        super().__init__(name, Running("http://127.0.0.1:9", 0), target)
        self.milliseconds = milliseconds
        self.said = said
        self.encoded = 0

    def closed(self, connections: int, seconds: float, warm: float) -> Load:
        self.said.append(f"{self.name} {connections}")
        self.encoded += 80
        return self._load(None, connections, seconds)

    def open(self, rate: float, seconds: float, warm: float, seed: int = 0) -> Load:
        self.said.append(f"{self.name} at {rate:.0f}, {seed}")
        return self._load(rate, 256, seconds)

    def batches(self) -> tuple[float, float]:
        return float(self.encoded), self.encoded / 8

    def _load(self, rate: float | None, connections: int, seconds: float) -> Load:
        times = (self.milliseconds / 1000,) * 100
        return Load(seconds, rate, connections, {200: 100}, times, 0, 0.0, 0.5, 0.0)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def known(said: list[str]) -> Callable[[str, float], Known]:
    return lambda name, milliseconds: Known(name, milliseconds, said)


def test_all_have_their_turn_in_each_round(
    known: Callable[[str, float], Known], said: list[str]
) -> None:
    servers: dict[str, Server] = {"a": known("a", 100), "b": known("b", 200)}
    found = http.saturations(servers, TIMES)
    # The first of each is a warm-up.
    assert said == ["a 64", "b 64"] * 3
    assert found["a"].rates == pytest.approx((640, 640))
    assert found["b"].peak == pytest.approx(320)
    assert found["b"].p99 == pytest.approx((200, 200))
    assert found["b"].processor == pytest.approx((1.5625, 1.5625))
    assert found["a"].point().points[0].rate == pytest.approx(640)


def test_both_get_the_same_arrivals(known: Callable[[str, float], Known], said: list[str]) -> None:
    found = http.equal_load(known("ours", 10), known("peer", 30), 100, TIMES)
    assert said == ["ours at 70, 0", "peer at 70, 0", "ours at 70, 1", "peer at 70, 1"]
    assert found.offered == pytest.approx(70)
    assert found.ours == pytest.approx((10, 10))
    assert found.theirs == pytest.approx((30, 30))


def test_a_curve_rises_to_the_peak(known: Callable[[str, float], Known]) -> None:
    found = http.curve(known("a", 10), 200, TIMES, (0.5, 1.0))
    assert [point.offered for point in found.points] == [100, 200]
    assert [point.p99 for point in found.points] == pytest.approx([10, 10])


def test_work_is_called_directly_with_the_services_batches(
    known: Callable[[str, float], Known], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def cost(self: Direct, images: object, batch: int, seconds: float) -> Cost:
        sizes.append(batch)
        return Cost(3.0, 2.0)

    monkeypatch.setattr(Direct, "cost", cost)
    direct = Direct.__new__(Direct)
    spent = http.processor(known("a", 100), direct, [b"x"], TIMES)
    assert spent.batch == 8
    assert spent.direct == (2.0, 2.0)
    alone = http.alone(known("a", 5), direct, [b"x"], TIMES)
    assert alone.service == pytest.approx((5, 5))
    assert alone.direct == (3.0, 3.0)
    assert sizes == [8, 8, 1, 1]


def test_a_failure_is_counted() -> None:
    load = Load(1.0, None, 2, {200: 3, 503: 1}, (0.1, 0.1, 0.1, math.inf), 0, 0.0, None, 0.0)
    found = Saturation("a", (load,))
    assert found.failed == 1
    assert found.rates == (3.0,)
    assert found.p99 == (math.inf,)


def test_direct_work_takes_processor_time(tmp_path: Path) -> None:
    encoder = PixelEncoder()
    direct = Direct(taught_pictures(tmp_path, encoder, shots=2), encoder)
    found = direct.cost(drawn(2, 64, 48), 4, 0.1, warm=0.0)
    direct.close()
    assert found.milliseconds > 0
    assert found.processor_milliseconds > 0


def test_drawn_features_are_nearest_to_their_own_class(tmp_path: Path) -> None:
    encoder = PixelEncoder()
    folder = taught_features(tmp_path, encoder, 20, shots=4)
    with Cache.open(folder, encoder, create=False) as cache:
        assert cache.info().shots == 80
        assert cache.fitted_version == cache.version


def test_plain_fastapi_answers_as_the_service_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_encoder(device="cpu", precision="fp32")
    monkeypatch.setenv(CACHE, str(taught_pictures(tmp_path, encoder, shots=2)))
    threads = torch.get_num_threads()
    image = drawn(1)[0]
    with TestClient(create_app()) as client:
        answer = client.post("/classify", content=image, headers={"Content-Type": "image/jpeg"})
    torch.set_num_threads(threads)
    assert answer.status_code == 200
    direct = Direct(tmp_path, encoder)
    scores = direct.scores([image])
    direct.close()
    best = answer.json()["predictions"][0]
    assert best["label"] == scores.labels[int(scores.logits.argmax())]
    assert best["probability"] == pytest.approx(float(scores.probabilities.max()), abs=0.02)
    assert len(answer.json()["predictions"]) == 5
