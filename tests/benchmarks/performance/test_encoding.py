"""Measuring the tower, callers and first calls: with the shipped model, in small."""

from __future__ import annotations

from pathlib import Path

import torch

from adapter.encoder import PixelEncoder, load_encoder
from benchmarks.performance.encoding import callers, first_calls, plain_tower, tower_speed
from benchmarks.performance.inputs import drawn

PHOTOGRAPHS = drawn(2)


def test_the_tower_is_timed_beside_open_clips_own() -> None:
    speed = tower_speed(PHOTOGRAPHS, batches=(1, 3), repeats=2, seconds=0.01)
    assert [rate.batch for rate in speed.rates] == [1, 3]
    for rate in speed.rates:
        assert len(rate.ours) == len(rate.theirs) == 2
        assert min(*rate.ours, *rate.theirs) > 0
    assert 0.999 < speed.cosine <= 1.0001


def test_theirs_is_the_same_model() -> None:
    encoder = load_encoder(device="cpu", precision="fp32")
    pixels = torch.randint(0, 256, (2, 3, *encoder.preprocessing.size), dtype=torch.uint8)
    theirs = plain_tower(encoder, "xmadapter-small", None)(pixels)
    torch.testing.assert_close(theirs, encoder.encode_images(pixels), atol=1e-4, rtol=0)


def test_callers_are_answered_in_batches_and_one_by_one(tmp_path: Path) -> None:
    found = callers(
        tmp_path, PixelEncoder(), PHOTOGRAPHS, count=3, seconds=0.05, repeats=2, shots=1
    )
    assert len(found.together) == len(found.alone) == 2
    assert min(*found.together, *found.alone) > 0


def test_first_calls_are_told_from_later_ones(tmp_path: Path) -> None:
    found = first_calls(tmp_path, load_encoder(device="cpu"), sizes=(1, 3), later=3)
    assert [each.images for each in found] == [1, 3]
    assert all(each.first > 0 and each.later > 0 for each in found)
