"""The few sizes that batches run in."""

from __future__ import annotations

import math

import pytest

from adapter.buckets import SIZES, Part, parts, size_for, sizes_up_to


def test_sizes_that_batches_need() -> None:
    assert sizes_up_to(1) == (1,)
    assert sizes_up_to(5) == (1, 2, 3, 4, 6)
    assert sizes_up_to(64)[-1] == 64
    assert sizes_up_to(10_000) == SIZES
    assert [size_for(images) for images in (1, 5, 64, 65, 256, 257)] == [1, 6, 64, 96, 256, None]


@pytest.mark.parametrize(
    ("images", "overhead", "expected"),
    [
        (0, 4, []),
        (1, 4, [Part(1, 1)]),
        (5, 4, [Part(5, 6)]),
        (17, 4, [Part(16, 16), Part(1, 1)]),
        (17, math.inf, [Part(17, 24)]),
        (17, 0, [Part(16, 16), Part(1, 1)]),
        (63, 4, [Part(63, 64)]),
        (64, 4, [Part(64, 64)]),
        (70, 4, [Part(64, 64), Part(6, 6)]),
        (128, 4, [Part(64, 64), Part(64, 64)]),
    ],
)
def test_padding_and_splitting_are_weighed(
    images: int, overhead: float, expected: list[Part]
) -> None:
    assert parts(images, 64, overhead) == expected


def test_every_image_runs_once_and_little_is_wasted() -> None:
    for images in range(1, 300):
        found = parts(images, 64, 4)
        assert sum(part.images for part in found) == images
        assert all(part.images <= part.size <= 64 and part.size in SIZES for part in found)
        # Of the cost of running them all at once, were every size ready.
        cost = sum(part.size + 4 for part in found)
        assert cost <= 1.25 * (images + 4 * math.ceil(images / 64))
