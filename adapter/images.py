"""Bytes to pixels, with every guard. All images that the product reads come through here.

Errors: `ImageError`, and below it `EmptyImage`, `UnsupportedImage`, `ImageTooLarge` and
`UndecodableImage`. No bytes whatever make `open_image` raise anything else.
"""

from __future__ import annotations

from adapter.image_errors import (
    EmptyImage,
    ImageError,
    ImageLimits,
    ImageTooLarge,
    UndecodableImage,
    UnsupportedImage,
)
from adapter.jpeg import decode_jpeg
from adapter.orientation import orientation
from adapter.picture import Picture
from adapter.pillow import decode_odd_jpeg, decode_png, decode_webp
from adapter.resizing import to_pixels, view_pixels
from adapter.segments import TooManyParts, split_jpeg
from adapter.thumbnails import thumbnail

__all__ = [
    "EmptyImage",
    "ImageError",
    "ImageLimits",
    "ImageTooLarge",
    "Picture",
    "UndecodableImage",
    "UnsupportedImage",
    "open_image",
    "thumbnail",
    "to_pixels",
    "view_pixels",
]

_KNOWN_OTHERS = {b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"%PDF": "PDF"}


def open_image(
    data: bytes, limits: ImageLimits | None = None, short_edge: int | None = None
) -> Picture:
    """Decode a JPEG, PNG or WebP to RGB, upright.

    EXIF orientation is applied, transparency is laid over white, 16-bit grey is scaled (not
    clipped), CMYK, palettes and grey become RGB; of an animation the first frame is taken.
    Colour profiles are not applied, as in CLIP's own pre-processing.

    Args:
        data: the file.
        limits: of its bytes and pixels.
        short_edge: a JPEG may be decoded at 1/2, 1/4 or 1/8 as long as its short edge keeps
            this many pixels; None: always at its full size.

    Raises:
        ImageError: one of its kinds, and nothing else.
    """
    limits = limits or ImageLimits()
    kind = _kind_of(data, limits)
    try:
        if kind == "JPEG":
            return _decode_jpeg(data, limits, short_edge)
        return (decode_png if kind == "PNG" else decode_webp)(data, limits)
    except ImageError:
        raise
    except TooManyParts as error:
        raise ImageTooLarge(f"{error}: save the image again with another program") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, and more
        raise UndecodableImage(
            f"expected a complete {kind} image, got {len(data)} bytes that cannot be decoded "
            f"({error}): send the file again"
        ) from error


def _kind_of(data: bytes, limits: ImageLimits) -> str:
    if not data:
        raise EmptyImage("expected a JPEG, PNG or WebP image, got no bytes")
    limits.check_bytes(len(data))
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP"
    other = next((name for start, name in _KNOWN_OTHERS.items() if data.startswith(start)), None)
    got = other or f"{len(data)} bytes starting with {data[:8].hex(' ')}"
    raise UnsupportedImage(f"expected a JPEG, PNG or WebP image, got {got}: convert it first")


def _decode_jpeg(data: bytes, limits: ImageLimits, short_edge: int | None) -> Picture:
    jpeg = split_jpeg(data)
    turn = orientation(jpeg.exif, jpeg.xmp)
    picture = decode_jpeg(data, turn, limits, short_edge)
    return decode_odd_jpeg(jpeg, limits) if picture is None else picture
