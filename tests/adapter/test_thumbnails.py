"""Small copies for people."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from adapter.picture import Picture
from adapter.thumbnails import thumbnail
from tests.adapter.drawn import photograph


@pytest.mark.parametrize(
    ("edges", "expected"),
    [((600, 300), (256, 128)), ((100, 50), (100, 50)), ((9000, 1), (256, 1)), ((1, 1), (1, 1))],
)
def test_thumbnails(edges: tuple[int, int], expected: tuple[int, int]) -> None:
    small = Image.open(BytesIO(thumbnail(Picture.of_pillow(photograph(*edges)))))
    assert small.format == "WEBP"
    assert small.size == expected


def test_a_thumbnail_looks_like_its_picture() -> None:
    image = photograph(600, 300)
    small = Image.open(BytesIO(thumbnail(Picture.of_pillow(image)))).convert("RGB")
    expected = np.asarray(image.resize((256, 128)), int)
    assert np.abs(np.asarray(small, int) - expected).mean() < 3
