"""How what was measured becomes rows: by measurements that are made up, and once in earnest."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from adapter.encoder import PixelEncoder
from benchmarks.performance.figures import Budget, Curve, Part, Point
from benchmarks.performance.group import Setting
from benchmarks.performance.groups import encoder, growth, http, pixels, stages, start
from benchmarks.performance.growth import AddCosts, Memory, Starts
from benchmarks.performance.http import EqualLoad, Saturation, Times
from benchmarks.performance.http_servers import Server
from benchmarks.performance.inputs import drawn
from benchmarks.performance.load import Load, Target
from benchmarks.performance.peers_process import Running
from benchmarks.performance.row import Row


def found(rows: object) -> dict[str, Row]:
    assert not isinstance(rows, str)
    return {row.name: row for row in rows if isinstance(row, Row)}  # type: ignore[attr-defined]


def test_pixels_are_measured_quickly_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_size(*model: str, **_: str) -> PixelEncoder:
        return PixelEncoder(image_size=224 if model else 64)

    monkeypatch.setattr("benchmarks.performance.pixels.load_encoder", of_size)
    rows = found(pixels.rows(Setting(drawn(2, 300, 280), tmp_path, quick=True)))
    assert list(rows) == [row.name for row in pixels.GROUP.rows]
    for size in pixels.SIZES:
        assert rows[size.largest.name].reached
        assert rows[size.cosine.name].reached
        assert rows[size.speed.name].ratio is not None
    small, large = (rows[size.scaled_speed.name] for size in pixels.SIZES)
    assert small.ours
    assert large.note == "not run: no photograph is large enough"


def load(rate: float, latency: float, failed: int = 0) -> Load:
    statuses = {200: round(rate), 503: failed}
    return Load(1.0, 1.0, 64, statuses, (latency,) * 100, 0, 0.0, 1.0, 0.1)


def server(name: str) -> Server:
    return Server(name, Running("http://127.0.0.1:1", 1), Target("http://127.0.0.1:1/", [b"x"]))


def test_servers_are_compared_at_saturation_and_at_equal_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = http.SMALL[0]
    most = {
        pair.ours: Saturation(pair.ours, (load(300, 0.2), load(330, 0.3, failed=2))),
        pair.theirs: Saturation(pair.theirs, (load(100, 0.6), load(100, math.inf))),
    }
    servers = {name: server(name) for name in most}
    equal = EqualLoad(70.0, (10.0, 12.0), (9.0, math.inf))
    monkeypatch.setattr("benchmarks.performance.http.equal_load", lambda *given: equal)
    rows = found(http._compared(http.SMALL, servers, most, Times(), quick=False))
    rate, p99 = rows[pair.rate.name], rows[pair.p99.name]
    assert (rate.ours, rate.theirs, rate.reached) == ((300, 330), (100, 100), True)
    assert rate.note == "without a good answer: 2 of ours, 0 of theirs"
    # What had no answer counts with the longest wait, and not as a number that nobody can write.
    assert (p99.ours, p99.theirs) == ((200, 300), (600, 10_000))
    assert pair.equal is not None
    assert rows[pair.equal.name].note == "an open loop of 70 requests a second"
    assert rows[http.SMALL[2].rate.name].note == "not run: run make bench-peers"


def test_a_curve_has_numbers_alone() -> None:
    curve = http.finite(Curve("ours", "open", (Point(10, 9, 5.0, math.inf, 1),)))
    assert curve.points == (Point(10, 9, 5.0, 10_000, 1),)


def test_stages_get_their_limits_by_name() -> None:
    budget = Budget("one", 10.0, (Part("decode", 2.0), Part("encode", 6.0)))
    limited = stages.with_limits(budget, {"decode": (1.5, "libjpeg-turbo")})
    first = replace(budget.parts[0], limit=1.5, limit_is="libjpeg-turbo")
    assert limited.parts == (first, budget.parts[1])
    [row] = stages.near(limited)
    assert (row.ratio, row.note) == (0.75, "theirs: libjpeg-turbo")


def test_growth_compares_the_large_cache_with_the_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = AddCosts((1.0, 1.0), (0.5, 0.5), (2.0, 2.0), (2.0, 2.0))
    large = AddCosts((1.0, 2.0), (0.4, 0.6), (6.0, 6.0), (6.0, 3.0))
    monkeypatch.setattr(growth, "add_costs", lambda *given: (small, large))
    monkeypatch.setattr(growth, "memory_per_shot", lambda folder: Memory(2.9, 3.1, 9.0))
    rows = found(growth.measure(Setting((), tmp_path)))
    assert rows[growth.IN_MEMORY.name].ratio == pytest.approx(1.0)
    assert rows[growth.WHOLE.name].ours == pytest.approx((1.4, 2.6))
    assert rows[growth.FIRST.name].ratio == pytest.approx(0.75)
    assert rows[growth.UNTRAINED.name].reached is True
    assert rows[growth.MOVED.name].reached is False


def test_a_start_counts_beyond_torch_and_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {"xmadapter": (0.2, 0.3, 0.4), "xmadapter serve": (0.4, 0.6, 0.9)}
    monkeypatch.setattr(start, "help_seconds", lambda runs: times)
    starts = Starts((3.0, 3.0), (4.0, 4.0), (5.0, 9.0))
    monkeypatch.setattr(start, "start_seconds", lambda *given: starts)
    rows = found(start.measure(Setting((), tmp_path)))
    assert rows[start.BEYOND.name].ours == (2.0, 6.0)
    assert rows[start.COMMANDS.name].note == "xmadapter serve"
    assert rows[start.COMMANDS.name].reached is False
    assert rows[start.HELP.name].reached is True


def test_a_row_for_each_batch_of_the_tower() -> None:
    assert len(encoder.SMALL) == len(encoder.BATCHES)
    assert len(encoder.LARGE) == len(encoder.VIT_BATCHES)
