"""Valid images of many kinds, drawn here: what mutations start from."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

ORIENTATION = 0x0112
PHOTOGRAPHS = 8
ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""The first column and row of each pass, and the steps between them."""


def seeds() -> list[bytes]:
    """All of them, and some photographs where XM_TEST_DATA names a folder of them."""
    photographs = sorted(Path(os.environ.get("XM_TEST_DATA", "nowhere")).glob("photos/*.jpg"))
    files = [path.read_bytes() for path in photographs[:PHOTOGRAPHS]]
    return [*_jpegs(), *_pngs(), *_webps(), *files]


def _scene(width: int = 96, height: int = 72, mode: str = "RGB") -> Image.Image:
    """Slopes of colour with a little noise."""
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0).integers(0, 24, (height, width))
    red, green = rows * 200 // height + noise, columns * 200 // width + noise
    pixels = np.stack([red, green, 220 - red], axis=-1).astype(np.uint8)
    image = Image.fromarray(pixels)
    if mode in ("RGBA", "LA"):
        image.putalpha(image.getchannel("G"))
    return image if image.mode == mode else image.convert(mode)


def _file(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "a maker of cameras"
    exif[ORIENTATION] = orientation
    return exif.tobytes()


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _jpegs() -> Iterator[bytes]:
    scene = _scene()
    yield _file(scene, "JPEG")
    yield _file(scene, "JPEG", progressive=True)
    yield _file(scene, "JPEG", quality=100, subsampling=0, optimize=True)
    yield _file(scene, "JPEG", restart_marker_blocks=2)
    yield _file(scene, "JPEG", icc_profile=_profile(), comment="a comment", dpi=(72, 72))
    yield _file(scene, "JPEG", xmp=b'<x tiff:Orientation="8"/>', progressive=True)
    for orientation in range(2, 9):
        yield _file(scene, "JPEG", exif=_turned(orientation))
    for mode in ("L", "CMYK"):
        yield _file(_scene(mode=mode), "JPEG")
        yield _file(_scene(mode=mode), "JPEG", progressive=True)
    for width, height in ((1, 1), (1, 400), (400, 3), (1600, 1200)):
        yield _file(_scene(width, height), "JPEG", quality=40)


def _pngs() -> Iterator[bytes]:
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1"):
        yield _file(_scene(mode=mode), "PNG")
    sixteen = np.asarray(_scene(mode="L")).astype(np.uint16) * 257
    yield _file(Image.fromarray(sixteen), "PNG")
    yield _file(Image.fromarray(sixteen), "PNG", transparency=257)
    yield _file(_scene(), "PNG", transparency=(1, 2, 3), exif=_turned(6))
    yield _file(_scene(mode="P"), "PNG", transparency=bytes(range(256)))
    yield _file(_scene(), "PNG", icc_profile=_profile(), dpi=(72, 72), pnginfo=_texts())
    yield _file(_scene(), "PNG", save_all=True, append_images=[_scene(mode="L").convert("RGB")])
    for width, height in ((1, 1), (1, 400), (400, 3), (1600, 1200)):
        yield _file(_scene(width, height).quantize(8), "PNG")
    yield from (
        _written(depth, colour, laced)
        for depth in (8, 16)
        for colour in (0, 2, 6)
        for laced in (0, 1)
    )


def _webps() -> Iterator[bytes]:
    scene, clear = _scene(), _scene(mode="RGBA")
    yield _file(scene, "WEBP")
    yield _file(clear, "WEBP", quality=30)
    yield _file(scene, "WEBP", lossless=True)
    yield _file(clear, "WEBP", lossless=True, exact=True, exif=_turned(5))
    yield _file(scene, "WEBP", exif=_turned(8), icc_profile=_profile(), xmp=b"<x/>")
    yield _file(scene, "WEBP", save_all=True, append_images=[_scene(mode="L"), clear], duration=9)
    yield _file(clear, "WEBP", save_all=True, append_images=[scene], lossless=True)
    for width, height in ((1, 1), (1, 400), (400, 3), (1600, 1200)):
        yield _file(_scene(width, height), "WEBP", quality=30, method=0)


def _texts() -> PngInfo:
    texts = PngInfo()
    texts.add_text("Title", "a title")
    texts.add_text("Comment", "a comment " * 40, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", "<x/>", zip=True)
    texts.add_text("Raw profile type exif", f"\nexif\n{len(_turned(3))}\n{_turned(3).hex()}")
    return texts


def _written(depth: int, colour: int, laced: int) -> bytes:
    """A PNG of noise as Pillow does not write it: 16 bits a colour, or interlaced."""
    side = 24
    width = {0: 1, 2: 3, 6: 4}[colour] * depth // 8
    pixels = np.random.default_rng(depth + colour).integers(0, 256, (side, side, width), np.uint8)
    passes = ADAM7 if laced else ((0, 0, 1, 1),)
    parts = [pixels[row::down, column::across] for column, row, across, down in passes]
    lines = [b"\0" + line.tobytes() for part in parts if part.shape[1] for line in part]
    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, laced)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)
