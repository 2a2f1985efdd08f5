"""A request's time, stage by stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.encoder import PixelEncoder
from adapter.images import open_image
from benchmarks.performance import stages
from benchmarks.performance.http_caches import taught_features
from service import images
from tests.service.serving import picture


def test_the_stages_of_a_request_add_up_to_what_its_caller_waits(tmp_path: Path) -> None:
    encoder = PixelEncoder()
    cache = taught_features(tmp_path / "cache", encoder, 3, 2)
    pictures = [picture(size=(400, 300), mark=mark) for mark in range(3)]
    found = stages.measure("a picture", cache, encoder, pictures, "image/png", 0.5)
    assert found.rest == pytest.approx(0, abs=1e-6)
    times = {part.name: part.ms for part in found.parts}
    assert len(times) == 9
    assert min(times.values()) > 0, times
    assert found.whole < 200
    # What was put around the stages is gone again.
    assert vars(images)["open_image"] is open_image


def test_a_budget_is_of_the_requests_that_were_answered() -> None:
    clock = stages.Clock()
    stage = dict.fromkeys((stages.DECODE, stages.RESIZE, stages.ENCODE, stages.HEAD), 0.001)
    answered = {stages.READ: 0.001, stages.CAME: 10.0, stages.WRITTEN: 10.01, stages.AROUND: 0.02}
    clock.requests = [{**answered, **stage, stages.RENDER: each} for each in (0.001, 0.003)]
    found = stages.budget("two", clock, 25.0)
    times = {part.name: round(part.ms, 6) for part in found.parts}
    assert times[stages.RENDER] == 2
    assert times[stages.HANDED_ON] == 4
    assert times[stages.AROUND] == 9
    assert times[stages.OUTSIDE] == 5
    assert sum(times.values()) == found.whole == 25


def test_a_request_that_is_refused_is_not_measured(tmp_path: Path) -> None:
    encoder = PixelEncoder()
    cache = taught_features(tmp_path / "cache", encoder, 2, 1)
    with pytest.raises(RuntimeError, match="expected 200"):
        stages.measure("no picture", cache, encoder, [b"no image"], "image/png", 0.1)
