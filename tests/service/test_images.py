"""From what was given to what the device takes."""

from __future__ import annotations

import hashlib
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from adapter.encoder import PixelEncoder
from adapter.images import ImageLimits, UndecodableImage, open_image, to_pixels
from service.errors import Problem
from service.images import Preparation
from tests.service.serving import RED, picture

PREPROCESSING = PixelEncoder().preprocessing


def preparation(views: int = 1, width: int = 3, *, scaled: bool = False) -> Preparation:
    return Preparation(PREPROCESSING, width, ImageLimits(), views, scaled)


def test_a_query_is_one_crop_and_nothing_else() -> None:
    made = preparation(views=5).query(picture())
    assert made.pixels is not None
    expected = to_pixels(open_image(picture()), PREPROCESSING)
    assert torch.equal(made.pixels, expected[None])
    assert made.pixels.dtype == torch.uint8
    assert (made.feature, made.sha256, made.thumbnail) == (None, "", None)


def test_a_shot_has_its_checksum_and_a_thumbnail() -> None:
    data = picture(RED, (900, 300))
    made = preparation().shot(data)
    assert made.pixels is not None
    assert made.pixels.shape == (1, 3, *PREPROCESSING.size)
    assert made.sha256 == hashlib.sha256(data).hexdigest()
    assert made.thumbnail is not None
    assert max(Image.open(io.BytesIO(made.thumbnail)).size) == 256


def test_views_of_a_shot_are_crops_and_always_the_same() -> None:
    image = Image.effect_noise((64, 64), 90).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    first, second = (preparation(views=4).shot(buffer.getvalue()) for _ in range(2))
    assert first.pixels is not None
    assert second.pixels is not None
    assert first.pixels.shape == (4, 3, *PREPROCESSING.size)
    assert torch.equal(first.pixels, second.pixels)
    assert not torch.equal(first.pixels[0], first.pixels[1])


def test_large_jpegs_are_decoded_smaller_for_queries_and_shots_where_that_is_asked_for() -> None:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    data = stream.getvalue()
    whole = to_pixels(open_image(data), PREPROCESSING)
    scaled = to_pixels(open_image(data, short_edge=64), PREPROCESSING)
    assert not torch.equal(scaled, whole)
    for expected, made in ((whole, preparation()), (scaled, preparation(scaled=True))):
        for pixels in (made.query(data).pixels, made.shot(data).pixels):
            assert pixels is not None
            assert torch.equal(pixels[0], expected)


@pytest.mark.parametrize(
    "values", [[3.0, 0.0, 4.0], [3e38, 0.0, 4e37], [3e-38, 0.0, 4e-38], [3, 0, 4]]
)
def test_an_embedding_is_brought_to_unit_length(values: list[float]) -> None:
    made = preparation().shot(values)
    assert made.feature is not None
    norm = math.hypot(*values)
    expected = [value / norm for value in values]
    assert made.feature.tolist() == pytest.approx(expected, abs=1e-6)
    assert made.feature.dtype == torch.float32
    assert made.sha256 == hashlib.sha256(np.array(values, "<f4").tobytes()).hexdigest()
    assert made.thumbnail is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0], "expected 3 numbers.*got 1"),
        ([], "got 0"),
        ([0.0, -0.0, 0.0], "nothing but zeros"),
        ([1e-50, 0.0, 0.0], "nothing but zeros"),
        ([0.0, math.nan, 0.0], "got nan at position 1"),
        ([0.0, 1e39, 0.0], "at position 1"),
    ],
)
def test_other_embeddings_are_refused(values: list[float], message: str) -> None:
    for prepare in (preparation().query, preparation().shot):
        with pytest.raises(Problem, match=message):
            prepare(values)


def test_what_is_wrong_with_an_image_is_raised_or_a_value() -> None:
    broken = picture()[:60]
    with pytest.raises(UndecodableImage):
        preparation().query(broken)
    found = preparation().query_or_problem(broken)
    assert isinstance(found, Problem)
    assert found.kind == "undecodable-image"
    earlier = Problem("malformed", "no base64")
    assert preparation().query_or_problem(earlier) is earlier
    with pytest.raises(Problem, match="no base64"):
        preparation().shot(earlier)
