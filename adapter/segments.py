"""The segments of a JPEG and the chunks of a PNG, walked before a decoder walks them.

A decoder does some work for each of them, however small it is, and for each scan of a JPEG it
goes over every pixel again: a file within the limits of bytes and pixels could keep a core busy
for hours. So they are counted first, and a JPEG is decoded without its metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MAX_SEGMENTS = 10_000
MAX_SCANS = 100
MAX_CHUNKS = 50_000

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_SEQUENTIAL = (0xC0, 0xC1, 0xC9)
_FRAMES = (*_SEQUENTIAL, 0xC2, 0xCA)
# Pillow takes these for markers without a body; libjpeg ends at them.
_BARE = (0x01, 0xC8, 0xD8, _END_OF_IMAGE, *range(0xF0, 0xFE))
_JFIF, _EXIF, _ADOBE, _LAST, _COMMENT = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE
_EXIF_START = b"Exif\0\0"
_XMP_START = b"http://ns.adobe.com/xap/1.0/\0"


class TooManyParts(ValueError):  # noqa: N818
    """More segments, scans or chunks than any picture needs."""


@dataclass(frozen=True)
class Jpeg:
    """A JPEG taken apart.

    Attributes:
        source: the whole file.
        pieces: (start, end) of those parts of it that the picture is made of.
        exif: without what it starts with in the file; empty where there is none.
        xmp: likewise.
    """

    source: bytes
    pieces: tuple[tuple[int, int], ...]
    exif: bytes
    xmp: bytes

    @property
    def picture(self) -> bytes:
        """The JPEG without comments, profiles, EXIF and the like."""
        return b"".join(self.source[start:end] for start, end in self.pieces)


class _Segment(NamedTuple):
    marker: int
    start: int
    body: int
    end: int


def split_jpeg(data: bytes) -> Jpeg:
    """Take the metadata out of a JPEG.

    Raises:
        TooManyParts: it has more than `MAX_SEGMENTS` before its picture, or `MAX_SCANS` in it.
    """
    pieces, exif, xmp = [(0, min(2, len(data)))], [], b""
    frame = None
    for number, segment in enumerate(_segments(data, 2)):
        if number >= MAX_SEGMENTS:
            raise TooManyParts(f"expected at most {MAX_SEGMENTS} segments in a JPEG, got more")
        if segment.marker == _START_OF_SCAN:
            _check_scans(data, segment, frame)
            pieces.append((segment.start, len(data)))
            break
        if segment.marker in _FRAMES:
            frame = segment
        if segment.marker == _EXIF and data.startswith(_EXIF_START, segment.body):
            exif.append(data[segment.body + len(_EXIF_START) : segment.end])
        elif segment.marker == _EXIF and data.startswith(_XMP_START, segment.body):
            xmp = data[segment.body + len(_XMP_START) : segment.end]
        elif segment.marker in (_JFIF, _ADOBE) or not _is_metadata(segment.marker):
            pieces.append((segment.start, segment.end))
    return Jpeg(data, tuple(pieces), b"".join(exif), xmp)


def check_png(data: bytes) -> None:
    """Count the chunks of a PNG, as far as it goes.

    Raises:
        TooManyParts: it has more than `MAX_CHUNKS`.
    """
    position = 8
    for _ in range(MAX_CHUNKS):
        kind = data[position + 4 : position + 8]
        if len(kind) < 4 or kind == b"IEND":
            return
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    raise TooManyParts(f"expected at most {MAX_CHUNKS} chunks in a PNG, got more")


def _segments(data: bytes, position: int) -> Iterator[_Segment]:
    """Those from `position` on; what lies between them is passed over, as decoders do."""
    while found := _MARKER.search(data, position):
        marker, body = data[found.end() - 1], found.end()
        if marker not in _BARE:
            length = int.from_bytes(data[body : body + 2], "big")
            position = found.end() + max(2, length)
            body += 2
        else:
            position = body
        yield _Segment(marker, found.start(), body, position)


def _is_metadata(marker: int) -> bool:
    return _JFIF <= marker <= _LAST or marker == _COMMENT


def _check_scans(data: bytes, first: _Segment, frame: _Segment | None) -> None:
    """Count the scans where a decoder reads more than one."""
    if frame is None:
        return
    parts, of = data[first.body : first.body + 1], data[frame.body + 5 : frame.body + 6]
    if frame.marker in _SEQUENTIAL and parts >= of:
        return
    scans = 1
    for number, segment in enumerate(_segments(data, first.end)):
        scans += segment.marker == _START_OF_SCAN
        if scans > MAX_SCANS or number >= MAX_SEGMENTS:
            raise TooManyParts(f"expected at most {MAX_SCANS} scans in a JPEG, got more")
        if segment.marker == _END_OF_IMAGE:
            return
