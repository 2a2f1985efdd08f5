"""Bytes to pixels: every odd and bad image is made in memory and goes through `open_image`."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from adapter.images import (
    EmptyImage,
    ImageError,
    ImageLimits,
    ImageTooLarge,
    UndecodableImage,
    UnsupportedImage,
    open_image,
)
from adapter.picture import Picture
from tests.adapter.drawn import encoded, photograph


def png(width: int, height: int, depth: int, color: int, rows: bytes, *chunks: bytes) -> bytes:
    """A PNG written by hand, for what Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    others = b"".join(chunk(extra[:4], extra[4:]) for extra in chunks)
    data = chunk(b"IDAT", zlib.compress(rows))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + others + data + chunk(b"IEND", b"")


def center(data: bytes) -> tuple[int, ...]:
    """The pixel in the middle of what `open_image` gives for `data`."""
    rows = open_image(data).rows
    return tuple(rows[rows.shape[0] // 2, rows.shape[1] // 2].tolist())


def size(picture: Picture) -> tuple[int, int]:
    """Width and height."""
    assert picture.pixels.shape == (3, picture.height, picture.width)
    return picture.width, picture.height


# What is refused


def test_no_bytes_are_an_empty_image() -> None:
    with pytest.raises(EmptyImage, match="got no bytes"):
        open_image(b"")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (encoded(photograph(), "GIF"), "got GIF"),
        (encoded(photograph(), "BMP"), "got BMP"),
        (encoded(photograph(), "TIFF"), "got TIFF"),
        (b"this is a text file called photo.jpg", "74 68 69 73"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "52 49 46 46"),
        (b"\0", "1 bytes"),
    ],
    ids=["gif", "bmp", "tiff", "text", "wave", "zero"],
)
def test_other_content_is_unsupported(data: bytes, said: str) -> None:
    with pytest.raises(UnsupportedImage, match=said):
        open_image(data)


def test_the_largest_file_is_taken_and_one_byte_more_is_not() -> None:
    limits = ImageLimits()
    assert limits.max_bytes == 20 * 1024 * 1024
    padded = encoded(photograph(), "JPEG").ljust(limits.max_bytes, b"\0")
    assert size(open_image(padded)) == (60, 40)
    with pytest.raises(ImageTooLarge, match="expected at most 20971520 bytes, got 20971521"):
        open_image(padded + b"\0")


@pytest.mark.parametrize("edge", [8_000, 50_000, 2**31 - 1])
def test_a_huge_header_is_refused_before_decoding(edge: int) -> None:
    # The data is of one row only: an attempt to decode would say "undecodable" instead.
    with pytest.raises(ImageTooLarge, match=f"got {edge} x {edge}"):
        open_image(png(edge, edge, 8, 2, b"\0"))


def test_a_huge_header_alone_is_refused_for_its_size() -> None:
    header = png(50_000, 50_000, 8, 2, b"\0")[:33]
    with pytest.raises(ImageTooLarge, match="got 50000 x 50000"):
        open_image(header)
    with pytest.raises(UndecodableImage):
        open_image(header[:20])


@pytest.mark.parametrize("lossless", [False, True])
def test_a_huge_webp_canvas_is_refused_before_decoding(lossless: bool) -> None:
    data = bytearray(encoded(photograph(), "WEBP", lossless=lossless))
    if lossless:
        data[21:25] = (9_999 | 7_999 << 14).to_bytes(4, "little")
    else:
        data[26:30] = struct.pack("<HH", 10_000, 8_000)
    with pytest.raises(ImageTooLarge, match="got 10000 x 8000"):
        open_image(bytes(data))


def test_a_huge_extended_webp_canvas_is_refused_before_decoding() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    data = bytearray(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    assert data[12:16] == b"VP8X"
    data[24:30] = (49_999).to_bytes(3, "little") * 2
    with pytest.raises(ImageTooLarge, match="got 50000 x 50000"):
        open_image(bytes(data))


def test_the_pixel_limit_is_inclusive_for_every_kind() -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        data = encoded(photograph(60, 40), kind)
        assert size(open_image(data, ImageLimits(max_pixels=2400))) == (60, 40)
        with pytest.raises(ImageTooLarge, match="expected at most 2399 pixels, got 60 x 40"):
            open_image(data, ImageLimits(max_pixels=2399))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_truncation_is_found_at_every_cut(kind: str) -> None:
    whole = photograph(300, 200)
    data = encoded(whole, kind)
    pixels = open_image(data).rows
    refused = 0
    for cut in range(1, len(data), 7):
        try:
            image = open_image(data[:cut])
        except (UnsupportedImage, UndecodableImage):
            refused += 1
        else:  # only what follows the pixels was lost
            np.testing.assert_array_equal(image.rows, pixels)
            assert cut > len(data) - 64
    assert refused > 0.9 * (len(data) // 7)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_photograph_is_undecodable(progressive: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG", progressive=progressive)
    for cut in range(200, len(data) - 2, 997):
        with pytest.raises(UndecodableImage, match="expected a complete JPEG image"):
            open_image(data[:cut])


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]))
def test_random_bytes_raise_image_errors_only(tail: bytes, start: bytes) -> None:
    with pytest.raises(ImageError):
        open_image(start + tail)


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=6),
)
def test_damaged_images_decode_or_raise_image_errors(
    kind: str, flips: list[tuple[float, int]]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = bytearray(encoded(photograph(24, 16), kind, exif=exif))
    for place, change in flips:
        data[int(place * (len(data) - 1))] ^= change
    try:
        image = open_image(bytes(data), ImageLimits(max_pixels=1_000_000))
    except ImageError:
        return
    assert image.pixels.shape == (3, image.height, image.width)
    assert image.width * image.height <= 1_000_000


@pytest.mark.parametrize(("width", "height"), [(65_536, 1), (1, 65_536), (1, 50_000_000)])
def test_a_strip_is_refused_for_its_edge(width: int, height: int) -> None:
    with pytest.raises(ImageTooLarge, match="expected edges of at most 65535 pixels, got"):
        open_image(png(width, height, 8, 2, b"\0"))


def test_the_longest_edge_is_taken() -> None:
    assert size(open_image(encoded(Image.new("L", (65_535, 1))))) == (65_535, 1)


def test_a_progressive_jpeg_with_endless_scans_is_refused() -> None:
    # Each goes over all pixels again: 20 MB of them would take hours.
    data = encoded(photograph(), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert size(open_image(data[:-2] + scan * 50 + data[-2:])) == (60, 40)
    with pytest.raises(ImageTooLarge, match="expected at most 100 scans in a JPEG"):
        open_image(data[:-2] + scan * 100 + data[-2:])


def test_a_file_of_a_million_parts_is_refused_at_once() -> None:
    # Pillow reads them one by one, in Python, and keeps them: 13 s, or 700 MB.
    jpeg = encoded(photograph(), "JPEG")
    began = time.perf_counter()
    with pytest.raises(ImageTooLarge, match="segments"):
        open_image(jpeg[:2] + b"\xff\xef\0\2" * 1_000_000 + jpeg[2:])
    with pytest.raises(ImageTooLarge, match="chunks"):
        open_image(png(1, 1, 8, 2, b"\0\0\0\0", *[b"vpAg"] * 60_000))
    assert size(open_image(jpeg[:2] + b"\xff" * 10_000_000 + jpeg[2:])) == (60, 40)
    assert time.perf_counter() - began < 4


def test_damaged_metadata_is_no_matter_to_the_log(recwarn: pytest.WarningsRecorder) -> None:
    entries = b"".join(struct.pack(">HHLL", tag, 3, 90, 2**30) for tag in range(400))
    exif = b"MM\0*\0\0\0\x08" + struct.pack(">H", 400) + entries
    for kind in ("JPEG", "PNG", "WEBP"):
        assert size(open_image(encoded(photograph(), kind, exif=exif))) == (60, 40)
    assert not recwarn.list


# What is taken, and how


@pytest.mark.parametrize("edges", [(1, 1), (1, 7), (7, 1), (60, 40)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_ordinary_images_of_any_size(kind: str, edges: tuple[int, int]) -> None:
    assert size(open_image(encoded(photograph(*edges), kind))) == edges


def test_png_pixels_are_kept_exactly() -> None:
    np.testing.assert_array_equal(open_image(encoded(photograph())).rows, np.asarray(photograph()))


def test_cmyk_becomes_rgb() -> None:
    cmyk = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    assert center(encoded(cmyk, "JPEG", quality=100)) == pytest.approx((254, 0, 0), abs=3)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    values = np.array([[0, 100, 200, 257, 128 * 257, 65535]], dtype=np.uint16)
    image = open_image(encoded(Image.fromarray(values))).rows
    assert image[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert (image == image[:, :, :1]).all()


def test_sixteen_bit_grey_with_a_transparent_value() -> None:
    rows = b"\0" + struct.pack(">HH", 1000, 128 * 257)
    image = open_image(png(2, 1, 16, 0, rows, b"tRNS" + struct.pack(">H", 1000)))
    assert image.rows[0].tolist() == [[255, 255, 255], [128, 128, 128]]


def test_sixteen_bit_colours() -> None:
    rows = b"\0" + struct.pack(">HHH", 65535, 128 * 257, 0)
    assert center(png(1, 1, 16, 2, rows)) == (255, 128, 0)
    rows = b"\0" + struct.pack(">HHHH", 65535, 128 * 257, 0, 65535)
    assert center(png(1, 1, 16, 6, rows)) == (255, 128, 0)


def test_palettes_with_and_without_transparency() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30, 90, 90, 90])
    assert center(encoded(palette)) == (10, 200, 30)
    assert center(encoded(palette, transparency=1)) == (255, 255, 255)
    assert center(encoded(palette, transparency=bytes([255, 255, 0]))) == (10, 200, 30)
    assert center(encoded(palette, transparency=bytes([255, 0, 255]))) == (255, 255, 255)


def test_alpha_is_laid_over_white() -> None:
    assert center(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 255)))) == (255, 0, 0)
    assert center(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0)))) == (255, 255, 255)
    assert center(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 127)))) == (255, 128, 128)
    lossless = encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 127)), "WEBP", lossless=True)
    assert center(lossless) == (255, 128, 128)


def test_grey_with_alpha_and_two_colours() -> None:
    assert center(encoded(Image.new("LA", (4, 4), (0, 51)))) == (204, 204, 204)
    assert center(encoded(Image.new("L", (4, 4), 77))) == (77, 77, 77)
    assert center(encoded(Image.new("1", (4, 4), 1))) == (255, 255, 255)
    assert center(encoded(Image.new("RGB", (4, 4), (1, 2, 3)), transparency=(1, 2, 3))) == (
        255,
        255,
        255,
    )


UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = open_image(encoded(photograph(), kind)).rows
    turned = open_image(encoded(photograph(), kind, exif=exif)).rows
    np.testing.assert_array_equal(turned, UPRIGHT[orientation](plain))


@pytest.mark.parametrize("value", [0, 9, 700])
def test_an_unknown_orientation_is_upright(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    assert size(open_image(encoded(photograph(), "JPEG", exif=exif))) == (60, 40)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0MM\0*", b"Exif\0\0garbage" * 4, b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"]
)
def test_damaged_exif_does_not_cost_the_image(exif: bytes) -> None:
    assert size(open_image(encoded(photograph(), "JPEG", exif=exif))) == (60, 40)


def test_orientation_in_xmp_or_in_a_pngs_text_is_applied() -> None:
    xmp = b'<rdf:Description tiff:Orientation="6"/>'
    exif = Image.Exif()
    exif[0x0112] = 6
    text = PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(exif.tobytes())}\n{exif.tobytes().hex()}")
    damaged = PngInfo()
    damaged.add_text("Raw profile type exif", "\nexif\n4\nnot hexadecimal")
    itxt = PngInfo()
    itxt.add_itxt("XML:com.adobe.xmp", xmp.decode())
    assert size(open_image(encoded(photograph(), "JPEG", xmp=xmp))) == (40, 60)
    assert size(open_image(encoded(photograph(), "WEBP", xmp=xmp))) == (40, 60)
    assert size(open_image(encoded(photograph(), pnginfo=itxt))) == (40, 60)
    assert size(open_image(encoded(photograph(), pnginfo=text))) == (40, 60)
    assert size(open_image(encoded(photograph(), pnginfo=damaged))) == (60, 40)


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    assert center(data) == (255, 0, 0)
