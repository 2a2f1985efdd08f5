"""The photographs that are sent: your own, or drawn ones where there are none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.performance.machine import ROOT

FOLDER = ROOT.parent / "shared" / "data" / "photos"
DRAWN = 32


def photographs(folder: Path = FOLDER) -> tuple[tuple[bytes, ...], str]:
    """JPEG files of a folder, by name, and a line that says what they are; else drawn ones."""
    paths = sorted(folder.glob("*.jpg"))
    if not paths:
        return drawn(), f"{DRAWN} drawn JPEGs of 500x375, since no folder of photographs was given"
    files = tuple(path.read_bytes() for path in paths)
    middle = sorted(len(file) for file in files)[len(files) // 2]
    return files, f"{len(files)} photographs (JPEG, median {middle / 1000:.0f} kB)"


def drawn(count: int = DRAWN, width: int = 500, height: int = 375) -> tuple[bytes, ...]:
    """JPEG files of coloured noise, smooth as photographs are: power falls with frequency."""
    generator = np.random.default_rng(0)
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    falloff = 1 / np.maximum(np.hypot(rows, columns), 1 / width)
    return tuple(_jpeg(generator, falloff) for _ in range(count))


def _jpeg(generator: np.random.Generator, falloff: np.ndarray) -> bytes:
    height, half = falloff.shape
    shape = (3, height, 2 * (half - 1))
    noise = np.fft.irfft2(np.fft.rfft2(generator.normal(size=shape)) * falloff, s=shape[1:])
    scaled = 128 + 50 * (noise - noise.mean()) / noise.std()
    pixels = scaled.clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()
