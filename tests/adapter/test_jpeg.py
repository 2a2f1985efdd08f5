"""The fast way for plain JPEGs, beside Pillow."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapter.image_errors import ImageLimits, ImageTooLarge
from adapter.jpeg import decode_jpeg
from tests.adapter.drawn import encoded, noise, photograph

LIMITS = ImageLimits()


def pillows(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)).convert("RGB"))


def test_photographs_are_decoded_as_pillow_does(data_dir: Path) -> None:
    for path in sorted((data_dir / "photos").glob("*.jpg")):
        data = path.read_bytes()
        picture = decode_jpeg(data, 1, LIMITS)
        assert picture is not None
        np.testing.assert_array_equal(picture.rows, pillows(data))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_all_common_kinds_are_decoded_as_pillow_does(progressive: bool, subsampling: str) -> None:
    data = encoded(noise(61, 43), "JPEG", progressive=progressive, subsampling=subsampling)
    picture = decode_jpeg(data, 1, LIMITS)
    assert picture is not None
    np.testing.assert_array_equal(picture.rows, pillows(data))


def test_grey_and_rgb_without_conversion() -> None:
    for data in (
        encoded(noise(30, 20).convert("L"), "JPEG"),
        encoded(noise(30, 20), "JPEG", keep_rgb=True),
    ):
        picture = decode_jpeg(data, 1, LIMITS)
        assert picture is not None
        np.testing.assert_array_equal(picture.rows, pillows(data))


def test_what_is_not_plain_or_not_whole_is_left_to_pillow() -> None:
    whole = encoded(noise(60, 40), "JPEG")
    cmyk = encoded(Image.new("CMYK", (30, 20)), "JPEG")
    for data in (cmyk, whole[: len(whole) // 2], whole[:-2], whole[:300], whole[:2]):
        assert decode_jpeg(data, 1, LIMITS) is None


def test_the_pixel_limit_is_checked_by_the_header() -> None:
    data = encoded(photograph(60, 40), "JPEG")[:-100]
    with pytest.raises(ImageTooLarge, match="expected at most 2399 pixels, got 60 x 40"):
        decode_jpeg(data, 1, ImageLimits(max_pixels=2399))


@pytest.mark.parametrize(
    ("short_edge", "scale"), [(50, 8), (51, 4), (100, 4), (101, 2), (200, 2), (201, 1), (None, 1)]
)
def test_the_smallest_scale_that_keeps_enough(short_edge: int | None, scale: int) -> None:
    picture = decode_jpeg(encoded(photograph(500, 400), "JPEG"), 1, LIMITS, short_edge)
    assert picture is not None
    assert (picture.height, picture.width, picture.scale) == (400, 500, scale)
    assert picture.pixels.shape == (3, 400 // scale, -(-500 // scale))


def test_a_turned_picture_is_made_smaller_where_nothing_is_left_over() -> None:
    for edges, scale in (((512, 400), 8), ((500, 400), 4), ((501, 401), 1)):
        picture = decode_jpeg(encoded(photograph(*edges), "JPEG"), 6, LIMITS, 50)
        assert picture is not None
        assert (picture.height, picture.width, picture.scale) == (*edges, scale)


def test_damage_is_not_said_aloud(capfd: pytest.CaptureFixture[str]) -> None:
    whole = encoded(noise(60, 40), "JPEG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for place in range(0, len(whole), 41):
            decode_jpeg(whole[:place] + b"\xff\x01" + whole[place + 2 :], 1, LIMITS)
    assert capfd.readouterr() == ("", "")
