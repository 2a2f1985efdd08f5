"""Which way up a photograph is, by its EXIF, or else its XMP.

Reads that one number alone. Pillow's reader reads every entry, and warns of each that is
damaged: a small file with 65,535 of them would fill the log.
"""

from __future__ import annotations

import re
import struct

UPRIGHT = 1
TAG = 0x0112
ENTRY = 12
EXIF_START = b"Exif\0\0"
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_FORMATS = {1: "B", 3: "H", 4: "L"}
_IN_XMP = re.compile(rb"tiff:Orientation(?:=\"|>)([0-9])")


def orientation(exif: bytes, xmp: bytes) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none, or none that can be read."""
    found = _in_exif(exif.removeprefix(EXIF_START))
    if found is None:
        match = _IN_XMP.search(xmp)
        found = int(match[1]) if match else UPRIGHT
    return found if 1 <= found <= 8 else UPRIGHT


def _in_exif(tiff: bytes) -> int | None:
    """The tag's value in the first directory (TIFF 6.0, section 2)."""
    order = _ORDERS.get(tiff[:4])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "L", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for at in range(start + 2, start + 2 + count * ENTRY, ENTRY):
            tag, kind, values = struct.unpack_from(order + "HHL", tiff, at)
            if tag == TAG and kind in _FORMATS and values == 1:
                value: int = struct.unpack_from(order + _FORMATS[kind], tiff, at + 8)[0]
                return value
    except struct.error:  # cut off: common in good photographs
        return None
    return None
