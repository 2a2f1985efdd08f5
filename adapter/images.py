"""Bytes to pixels, with every guard. All images that the product reads come through here.

Errors: `ImageError`, and below it `EmptyImage`, `UnsupportedImage`, `ImageTooLarge` and
`UndecodableImage`. No bytes whatever make `open_image` raise anything else.
"""

import contextlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from PIL import Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from torch import Tensor

from adapter.encoder import Preprocessing
from adapter.orientation import orientation
from adapter.segments import TooManyParts, check_png, split_jpeg

VIEW_SCALE = (0.5, 1.0)
VIEW_RATIO = (3 / 4, 4 / 3)
THUMBNAIL_QUALITY = 80
# As in JPEG, whose format ends there: Pillow takes 8 bytes more for each row.
MAX_EDGE = 65_535
# Above this, resizing the short edge first would make an image of gigabytes from a thin strip.
LARGEST_STRIP = 16


class ImageError(ValueError):
    """These bytes give no image. Each kind is a class below."""


class EmptyImage(ImageError):  # noqa: N818
    """No bytes at all."""


class UnsupportedImage(ImageError):  # noqa: N818
    """By their content, not JPEG, PNG or WebP."""


class ImageTooLarge(ImageError):  # noqa: N818
    """Too many bytes, or too many pixels or parts by the header; nothing was decoded."""


class UndecodableImage(ImageError):  # noqa: N818
    """Truncated or corrupt."""


@dataclass(frozen=True)
class ImageLimits:
    """The largest image that is taken, in bytes as sent and in pixels as decoded."""

    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000


_READERS: dict[str, Callable[[BytesIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
}
_KNOWN_OTHERS = {b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"%PDF": "PDF"}
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EIGHT_BITS = [(value + 128) // 257 for value in range(2**16)]
_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "random": Image.Resampling.BICUBIC,  # open_clip's own reading of it outside training
}


def open_image(data: bytes, limits: ImageLimits | None = None) -> Image.Image:
    """Decode a JPEG, PNG or WebP to RGB, upright.

    EXIF orientation is applied, transparency is laid over white, 16-bit grey is scaled (not
    clipped), CMYK, palettes and grey become RGB; of an animation the first frame is taken.
    Colour profiles are not applied, as in CLIP's own pre-processing.

    Raises:
        ImageError: one of its kinds, and nothing else.
    """
    limits = limits or ImageLimits()
    kind = _kind_of(data, limits)
    try:
        return _flatten(_decode(data, kind, limits))
    except ImageError:
        raise
    except TooManyParts as error:
        raise ImageTooLarge(f"{error}: save the image again with another program") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, and more
        raise UndecodableImage(
            f"expected a complete {kind} image, got {len(data)} bytes that cannot be decoded "
            f"({error}): send the file again"
        ) from error


def to_pixels(image: Image.Image, preprocessing: Preprocessing) -> Tensor:
    """Resize and crop as the model wants it: uint8 (3, H, W).

    Equal to open_clip's own transform before normalisation, except for strips thinner than
    1 to 16, where it would make an image of gigabytes.
    """
    rgb = image.convert("RGB") if image.mode != "RGB" else image
    height, width = preprocessing.size
    resampling = _RESAMPLING[preprocessing.interpolation]
    if preprocessing.resize_mode == "squash":
        return _tensor(rgb.resize((width, height), resampling))
    if preprocessing.resize_mode == "longest":
        resized = rgb.resize(_fitted(rgb.size, (width, height), longest=True), resampling)
        return _tensor(_centre(resized, (width, height), preprocessing.fill_color))
    if width != height:
        resampling = Image.Resampling.BICUBIC  # open_clip ignores the setting for oblongs
    target = _fitted(rgb.size, (width, height), longest=False)
    return _tensor(_resize_and_crop(rgb, target, (width, height), resampling))


def view_pixels(image: Image.Image, preprocessing: Preprocessing, count: int, seed: int) -> Tensor:
    """Random views of an image, as Tip-Adapter's keys use them: uint8 (count, 3, H, W).

    Each is a RandomResizedCrop of 0.5 to 1 of the area, bicubic, flipped in half of the
    cases; the same seed gives the same views.
    """
    rgb = image.convert("RGB") if image.mode != "RGB" else image
    generator = random.Random(seed)
    height, width = preprocessing.size
    views = torch.empty(count, 3, height, width, dtype=torch.uint8)
    for row in range(count):
        crop = rgb.crop(_random_box(rgb.size, generator))
        view = crop.resize((width, height), Image.Resampling.BICUBIC)
        flipped = generator.random() < 0.5
        views[row] = _tensor(view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flipped else view)
    return views


def thumbnail(image: Image.Image, edge: int = 256) -> bytes:
    """A WebP whose longest edge is at most `edge` pixels."""
    small = image.convert("RGB")
    small.thumbnail((edge, edge), Image.Resampling.BICUBIC)
    stream = BytesIO()
    small.save(stream, "WEBP", quality=THUMBNAIL_QUALITY)
    return stream.getvalue()


def _kind_of(data: bytes, limits: ImageLimits) -> str:
    if not data:
        raise EmptyImage("expected a JPEG, PNG or WebP image, got no bytes")
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(
            f"expected at most {limits.max_bytes} bytes, got {len(data)}: send a smaller image"
        )
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP"
    other = next((name for start, name in _KNOWN_OTHERS.items() if data.startswith(start)), None)
    got = other or f"{len(data)} bytes starting with {data[:8].hex(' ')}"
    raise UnsupportedImage(f"expected a JPEG, PNG or WebP image, got {got}: convert it first")


def _decode(data: bytes, kind: str, limits: ImageLimits) -> Image.Image:
    """The image as it is stored, but upright."""
    exif = xmp = b""
    if kind == "WebP":  # its reader allocates the whole canvas, the others only look
        _check_pixel_count(_webp_canvas(data), limits)
    if kind == "PNG":  # its reader wants to see the image's data before it tells the size
        _check_pixel_count(_png_size(data), limits)
        check_png(data)
    if kind == "JPEG":
        jpeg = split_jpeg(data)
        data, exif, xmp = jpeg.picture, jpeg.exif, jpeg.xmp
    image = _READERS[kind](BytesIO(data))
    _check_pixel_count(image.size, limits)
    image.load()
    image.fp = None  # a WebP's has the pixels a second time
    if kind != "JPEG":
        exif, xmp = _metadata(image)
    transposition = _TRANSPOSITIONS.get(orientation(exif, xmp))
    return image if transposition is None else image.transpose(transposition)


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


def _check_pixel_count(size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if max(size) > MAX_EDGE and width * height <= limits.max_pixels:
        raise ImageTooLarge(
            f"expected edges of at most {MAX_EDGE} pixels, got {width} x {height}: "
            "send a smaller image"
        )
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"expected at most {limits.max_pixels} pixels, got {width} x {height}: "
            "send a smaller image"
        )


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


def _fitted(size: tuple[int, int], target: tuple[int, int], *, longest: bool) -> tuple[int, int]:
    """The (width, height) to which open_clip resizes before it crops or pads to `target`."""
    if not longest and target[0] == target[1]:
        short, long = min(size), max(size)
        edges = (target[0], int(target[0] * long / short))
        return edges if size[0] <= size[1] else (edges[1], edges[0])
    ratios = [edge / wanted for edge, wanted in zip(size, target, strict=True)]
    ratio = max(ratios) if longest else min(ratios)
    return max(1, round(size[0] / ratio)), max(1, round(size[1] / ratio))


def _resize_and_crop(
    image: Image.Image,
    resized: tuple[int, int],
    target: tuple[int, int],
    resampling: Image.Resampling,
) -> Image.Image:
    """The central `target` of the image resized to `resized`."""
    left, top = (round((edge - wanted) / 2) for edge, wanted in zip(resized, target, strict=True))
    if resized[0] * resized[1] <= LARGEST_STRIP * target[0] * target[1]:
        whole = image.resize(resized, resampling)
        return whole.crop((left, top, left + target[0], top + target[1]))
    across, down = image.width / resized[0], image.height / resized[1]
    box = (left * across, top * down, (left + target[0]) * across, (top + target[1]) * down)
    return image.resize(target, resampling, box=box)


def _centre(image: Image.Image, target: tuple[int, int], fill: int) -> Image.Image:
    """Pad and crop to `target`, centred, with open_clip's rounding."""
    before = [max(0, wanted - edge) // 2 for edge, wanted in zip(image.size, target, strict=True)]
    padded = tuple(max(edge, wanted) for edge, wanted in zip(image.size, target, strict=True))
    canvas = Image.new("RGB", (padded[0], padded[1]), (fill, fill, fill))
    canvas.paste(image, (before[0], before[1]))
    left, top = (round((edge - wanted) / 2) for edge, wanted in zip(padded, target, strict=True))
    return canvas.crop((left, top, left + target[0], top + target[1]))


def _random_box(size: tuple[int, int], generator: random.Random) -> tuple[int, int, int, int]:
    """A crop as torchvision's RandomResizedCrop draws it: (left, top, right, bottom)."""
    width, height = size
    for _ in range(10):
        area = width * height * generator.uniform(*VIEW_SCALE)
        ratio = math.exp(generator.uniform(*(math.log(bound) for bound in VIEW_RATIO)))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            left, top = generator.randint(0, width - across), generator.randint(0, height - down)
            return left, top, left + across, top + down
    # No such crop fits into a strip: the largest central one of an allowed ratio.
    ratio = min(max(width / height, VIEW_RATIO[0]), VIEW_RATIO[1])
    across, down = min(width, round(height * ratio)), min(height, round(width / ratio))
    left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + max(1, across), top + max(1, down)


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
