"""The seeds are valid, and of all the kinds that are promised."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from adapter.images import open_image
from benchmarks.torture.seeds import seeds


def test_every_seed_is_a_valid_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XM_TEST_DATA", "nowhere")
    drawn = seeds()
    assert len(drawn) > 50
    assert len(set(drawn)) == len(drawn)
    for data in drawn:
        assert len(open_image(data).pixels) == 3


def test_all_kinds_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XM_TEST_DATA", "nowhere")
    images = [Image.open(BytesIO(data)) for data in seeds()]
    assert {image.format for image in images} == {"JPEG", "PNG", "WEBP"}
    assert {image.mode for image in images} >= {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"}
    assert {image.getexif().get(0x0112) for image in images} >= set(range(2, 9))
    for named in ("progressive", "icc_profile", "interlace", "transparency", "exif", "xmp"):
        assert any(image.info.get(named) for image in images), named
    for kind in ("PNG", "WEBP"):
        assert any(getattr(each, "n_frames", 1) > 1 for each in images if each.format == kind)
