"""The orientation of EXIF that is written by hand, in both byte orders, whole and damaged."""

from __future__ import annotations

import struct
import time

import pytest
from PIL import Image

from adapter.orientation import orientation

XMP = b'<rdf:Description tiff:Orientation="8"/>'


def exif(value: int, order: str = ">", kind: int = 3, count: int = 1, before: int = 0) -> bytes:
    """EXIF with `before` other entries and then the orientation."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    other = struct.pack(order + "HHLL", 0x010F, 4, 1, 7) * before
    packed = struct.pack(order + {1: "B", 3: "H", 4: "L"}.get(kind, "H"), value).ljust(4, b"\0")
    entry = struct.pack(order + "HHL", 0x0112, kind, count) + packed
    return start + struct.pack(order + "LH", 8, before + 1) + other + entry


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [1, 3, 4])
def test_it_is_read_in_both_byte_orders_and_whatever_its_width(order: str, kind: int) -> None:
    assert orientation(exif(6, order, kind, before=3), b"") == 6
    assert orientation(b"Exif\0\0" + exif(6, order, kind), b"") == 6


@pytest.mark.parametrize("value", range(1, 9))
def test_it_is_what_pillow_writes(value: int) -> None:
    written = Image.Exif()
    written[0x010F] = "a maker's name that does not fit into an entry"
    written[0x0112] = value
    assert orientation(written.tobytes(), b"") == value


def test_xmp_is_read_where_exif_says_nothing() -> None:
    assert orientation(b"", XMP) == 8
    assert orientation(b"", b"<tiff:Orientation>3</tiff:Orientation>") == 3
    assert orientation(exif(6), XMP) == 6
    assert orientation(exif(6, count=2), XMP) == 8


@pytest.mark.parametrize("value", [0, 9, 700])
def test_other_values_are_upright(value: int) -> None:
    assert orientation(exif(value), b"") == 1
    assert orientation(b"", b'tiff:Orientation="%d"' % value) in (1, 7)


@pytest.mark.parametrize(
    "data", [b"", b"MM", b"garbage" * 9, b"II*\0\xff\xff\xff\xff", exif(6)[:19]]
)
def test_damaged_exif_is_upright(data: bytes) -> None:
    assert orientation(data, b"") == 1


def test_an_offset_that_leads_back_and_65535_entries_end_soon() -> None:
    began = time.monotonic()
    assert orientation(b"MM\0*\0\0\0\0" + b"\xff" * 65_535 * 12, b"") == 1
    assert time.monotonic() - began < 5
