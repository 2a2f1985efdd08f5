"""Which photographs are sent."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from benchmarks.performance.inputs import DRAWN, drawn, photographs


def test_the_photographs_of_a_folder_are_sent_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_bytes(b"two")
    (tmp_path / "a.jpg").write_bytes(b"one")
    (tmp_path / "c.txt").write_bytes(b"three")
    files, said = photographs(tmp_path)
    assert files == (b"one", b"two")
    assert said.startswith("2 photographs")


def test_without_a_folder_pictures_are_drawn_and_the_results_say_so(tmp_path: Path) -> None:
    files, said = photographs(tmp_path / "none")
    assert len(files) == DRAWN
    assert said.startswith("32 drawn JPEGs")


def test_drawn_pictures_are_jpegs_that_differ_and_do_not_change() -> None:
    first, second = drawn(2, 64, 48)
    assert first != second
    assert drawn(1, 64, 48)[0] == first
    with Image.open(io.BytesIO(first)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (64, 48))
