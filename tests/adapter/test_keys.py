from __future__ import annotations

import hashlib

import numpy as np
import torch

from adapter.encoder import PixelEncoder
from adapter.keys import crops, key_of_views
from adapter.picture import Picture
from adapter.resizing import to_pixels, view_pixels

PREPROCESSING = PixelEncoder().preprocessing


def picture() -> Picture:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return Picture.of_rows(noise)


def test_the_same_bytes_are_always_seen_alike() -> None:
    first, second = (hashlib.sha256(data).hexdigest() for data in (b"1", b"2"))
    seen = crops(picture(), PREPROCESSING, 3, first)
    expected = view_pixels(picture(), PREPROCESSING, 3, seed=int(first[:12], 16))
    assert torch.equal(seen, expected)
    assert not torch.equal(seen, crops(picture(), PREPROCESSING, 3, second))


def test_a_single_view_is_the_centre_crop() -> None:
    seen = crops(picture(), PREPROCESSING, 1, "f" * 64)
    assert torch.equal(seen[0], to_pixels(picture(), PREPROCESSING))
    assert len(seen) == 1


def test_a_key_is_the_unit_mean_of_its_views() -> None:
    views = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(key_of_views(views), torch.tensor([0.5**0.5, 0.5**0.5]))
    torch.testing.assert_close(key_of_views(views.expand(3, 2, 2))[2], key_of_views(views))


def test_a_view_weighs_by_its_direction_alone() -> None:
    """Normalised once: three equal views and another lean three to one, not one to one."""
    views = torch.tensor([[1.0, 0.0]] * 3 + [[0.0, 1.0]])
    key = key_of_views(views)
    assert float(key[0] / key[1]) == 3
