"""Which way up, and in what memory."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from adapter.picture import Picture
from tests.adapter.drawn import noise


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_pillow_turns_it(orientation: int) -> None:
    stored = noise(5, 4)
    picture = Picture.of_pillow(stored, orientation)
    stored.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(stored))
    np.testing.assert_array_equal(picture.rows, upright)
    assert (picture.height, picture.width, picture.scale) == (*upright.shape[:2], 1)


def test_rows_and_pixels_share_their_memory() -> None:
    rows = np.zeros((4, 5, 3), np.uint8)
    picture = Picture.of_rows(rows)
    rows[2, 3, 1] = 7
    assert picture.pixels[1, 2, 3] == picture.rows[2, 3, 1] == 7


def test_the_size_of_a_turned_picture_that_was_decoded_smaller() -> None:
    picture = Picture.of_scaled_rows(np.zeros((4, 5, 3), np.uint8), (16, 20), 4, orientation=6)
    assert picture.pixels.shape == (3, 5, 4)
    assert (picture.height, picture.width, picture.scale) == (20, 16, 4)


def test_grey_becomes_three_colours() -> None:
    assert Picture.of_pillow(Image.new("L", (2, 1), 9)).rows.tolist() == [[[9] * 3, [9] * 3]]
