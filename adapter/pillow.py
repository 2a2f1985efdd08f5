"""Pictures that Pillow decodes: PNG, WebP, and the JPEGs that are not plain."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from io import BytesIO

from PIL import Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from adapter.image_errors import ImageLimits
from adapter.orientation import orientation
from adapter.picture import Picture
from adapter.segments import Jpeg, check_png

_EIGHT_BITS = [(value + 128) // 257 for value in range(2**16)]
_Reader = Callable[[BytesIO], ImageFile.ImageFile]


def decode_odd_jpeg(jpeg: Jpeg, limits: ImageLimits) -> Picture:
    """Any JPEG, without its metadata. Raises what Pillow raises, and ImageTooLarge."""
    image = _loaded(JpegImagePlugin.JpegImageFile, jpeg.picture, limits)
    image = _flatten(image)  # what was read goes: it has the pixels once or twice more
    return Picture.of_pillow(image, orientation(jpeg.exif, jpeg.xmp))


def decode_png(data: bytes, limits: ImageLimits) -> Picture:
    """A PNG. Raises what Pillow raises, TooManyParts and ImageTooLarge."""
    # Its reader wants to see the image's data before it tells the size.
    limits.check_size(*_png_size(data))
    check_png(data)
    image = _loaded(PngImagePlugin.PngImageFile, data, limits)
    turn = orientation(*_metadata(image))
    image = _flatten(image)
    return Picture.of_pillow(image, turn)


def decode_webp(data: bytes, limits: ImageLimits) -> Picture:
    """A WebP. Raises what Pillow raises, and ImageTooLarge."""
    # Its reader allocates the whole canvas, the others only look.
    limits.check_size(*_webp_canvas(data))
    image = _loaded(WebPImagePlugin.WebPImageFile, data, limits)
    turn = orientation(*_metadata(image))
    image = _flatten(image)
    return Picture.of_pillow(image, turn)


def _loaded(reader: _Reader, data: bytes, limits: ImageLimits) -> Image.Image:
    image = reader(BytesIO(data))
    limits.check_size(*image.size)
    image.load()
    image.fp = None  # a WebP's has the pixels a second time
    return image


def _metadata(image: Image.Image) -> tuple[bytes, bytes]:
    """EXIF and XMP of a PNG or WebP; a PNG may have them as text."""
    info = image.info
    exif = info.get("exif", b"")
    if not exif and "Raw profile type exif" in info:
        digits = "".join(info["Raw profile type exif"].split("\n")[3:])
        with contextlib.suppress(ValueError):  # damaged: the picture may be good
            exif = bytes.fromhex(digits)
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp", "").encode()
    return exif, xmp


def _png_size(data: bytes) -> tuple[int, int]:
    """Width and height by the header (IHDR is always first); zeros where it is cut off."""
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    return width, height


def _webp_canvas(data: bytes) -> tuple[int, int]:
    """Width and height by the header (RFC 9649, section 2); (0, 0) where it is damaged."""
    header = data[12:30].ljust(18, b"\0")
    if header.startswith(b"VP8X"):
        return (
            int.from_bytes(header[12:15], "little") + 1,
            int.from_bytes(header[15:18], "little") + 1,
        )
    if header.startswith(b"VP8L"):
        bits = int.from_bytes(header[9:13], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = (int.from_bytes(header[at : at + 2], "little") for at in (14, 16))
    return width & 0x3FFF, height & 0x3FFF


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = _sixteen_bits_to_eight(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    lowest, _ = rgba.getchannel("A").getextrema()
    if lowest == 255:
        return rgba.convert("RGB")
    white = Image.new("RGB", rgba.size, "white")
    white.paste(rgba, mask=rgba)
    return white


def _sixteen_bits_to_eight(image: Image.Image) -> Image.Image:
    """Scale 0..65535 to 0..255, and keep a transparent grey, if one is named, transparent."""
    wide = image.convert("I")
    grey = wide.point(_EIGHT_BITS, "L")
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        opaque = [255] * 2**16
        opaque[transparent] = 0
        grey.putalpha(wide.point(opaque, "L"))
    return grey
