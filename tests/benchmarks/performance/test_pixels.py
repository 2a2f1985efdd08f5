"""What is reported of bytes to pixels."""

from __future__ import annotations

import torch

from benchmarks.performance.pixels import measure
from tests.adapter.drawn import encoded, noise, photograph


def test_both_models_are_measured_and_the_scaled_mode_where_a_photograph_is_large_enough() -> None:
    threads = torch.get_num_threads()
    photographs = [encoded(photograph(300, 280), "JPEG"), encoded(noise(90, 100), "JPEG")]
    small, large = measure(photographs, repeats=2)
    assert (small.edge, large.edge) == (64, 224)
    for found in (small, large):
        for times in (found.ours_ms, found.decode_ms, found.open_clip_ms):
            assert len(times) == 2
            assert min(times) > 0
        assert found.difference.mean <= found.difference.largest
        assert found.difference.lowest_cosine > 0.99
    assert small.difference.largest <= 1
    assert small.scaled is not None
    assert small.scaled.photographs == 1
    assert small.scaled.difference.largest <= 8
    assert large.scaled is None
    assert torch.get_num_threads() == threads
