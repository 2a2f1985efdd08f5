"""JPEGs and PNGs by hand: what is counted, what is left out, and where counting ends."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from adapter import segments
from adapter.segments import TooManyParts, check_png, split_jpeg

START = b"\xff\xd8"
COMMENT = b"\xff\xfe\0\2"
ADOBE = b"\xff\xee\0\x0eAdobe\0d\0\0\0\0\0"


def jpeg(**options: object) -> bytes:
    stream = BytesIO()
    rows, columns = np.mgrid[0:24, 0:24].astype(np.uint8) * 10
    Image.fromarray(np.stack([rows, columns, rows], -1)).save(stream, "JPEG", **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + b"crc."


def scans(data: bytes) -> list[tuple[int, int]]:
    """Where each scan of a JPEG without metadata starts and ends."""
    starts = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    ends = [at for at in range(len(data)) if data[at : at + 2] in (b"\xff\xc4", b"\xff\xd9")]
    return [(start, min(end for end in ends if end > start)) for start in starts]


def test_a_plain_jpeg_stays_as_it_is() -> None:
    data = jpeg(progressive=True)
    found = split_jpeg(data)
    assert (found.picture, found.exif, found.xmp) == (data, b"", b"")


def test_metadata_is_taken_out_and_the_pictures_own_segments_stay() -> None:
    data = jpeg()
    extra = (
        COMMENT
        + b"\xff\xe1\0\x0aExif\0\0II"
        + b"\xff\xe1\0\x23http://ns.adobe.com/xap/1.0/\0<x/>"
        + b"\xff\xe1\0\x0aExif\0\0*\0"
        + b"\xff\xe2\0\x0eICC_PROFILE\0"
    )
    found = split_jpeg(START + ADOBE + extra + data[2:])
    assert found.picture == START + ADOBE + data[2:]
    assert found.exif == b"II*\0"
    assert found.xmp == b"<x/>"


def test_what_lies_between_segments_is_passed_over() -> None:
    data = jpeg()
    assert split_jpeg(START + b"\0" * 99 + b"\xff" * 99 + data[2:]).picture == data


@pytest.mark.parametrize("cut", [3, 4, 5, 30, 200])
def test_a_jpeg_that_is_cut_off_is_walked_to_its_end(cut: int) -> None:
    assert len(split_jpeg(jpeg()[:cut]).picture) <= cut


def test_segments_are_counted() -> None:
    data = jpeg()
    most = COMMENT * (segments.MAX_SEGMENTS - data.count(b"\xff\xc4") - 9)
    assert split_jpeg(START + most + data[2:]).picture == data
    with pytest.raises(TooManyParts, match="at most 10000 segments"):
        split_jpeg(START + COMMENT * segments.MAX_SEGMENTS + data[2:])


def test_segments_cannot_hide_in_a_marker_that_has_no_body() -> None:
    # For Pillow, the comments that follow would not belong to it.
    hidden = b"\xff\xf0\xff\xff" + COMMENT * segments.MAX_SEGMENTS
    with pytest.raises(TooManyParts):
        split_jpeg(START + hidden + jpeg()[2:])


def test_scans_are_counted() -> None:
    data = jpeg(progressive=True)
    start, end = scans(data)[-1]
    copies = segments.MAX_SCANS - len(scans(data))
    assert split_jpeg(data[:end] + data[start:end] * copies + data[end:])
    with pytest.raises(TooManyParts, match="at most 100 scans"):
        split_jpeg(data[:end] + data[start:end] * (copies + 1) + data[end:])


def test_scans_are_not_counted_where_only_one_is_read_nor_behind_the_end() -> None:
    data, more = jpeg(), jpeg(progressive=True)
    start, end = scans(more)[-1]
    assert split_jpeg(data[:-2] + more[start:end] * 200 + data[-2:])
    assert split_jpeg(more + more[start:end] * 200)


def test_one_scan_for_each_colour_is_several() -> None:
    data = bytearray(jpeg())
    start, end = scans(bytes(data))[0]
    data[start + 4] = 1
    with pytest.raises(TooManyParts):
        split_jpeg(bytes(data[:end] + data[start:end] * 200 + data[end:]))


def test_chunks_are_counted_to_the_end_of_the_picture() -> None:
    start = b"\x89PNG\r\n\x1a\n"
    check_png(start + chunk(b"tEXt", b"a\0b") * (segments.MAX_CHUNKS - 1) + chunk(b"IEND"))
    check_png(start + chunk(b"IEND") + chunk(b"IDAT") * (segments.MAX_CHUNKS + 1))
    check_png(start + chunk(b"IDAT")[:7])
    with pytest.raises(TooManyParts, match="at most 50000 chunks"):
        check_png(start + chunk(b"IDAT") * segments.MAX_CHUNKS)
