"""Bytes to pixels beside open_clip's own transform, on one core, in one run.

What is compared is what either hands to its image tower: ours gives uint8, open_clip's
transform normalised floats; the differences are of both before normalisation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor
from torchvision.transforms import Compose, PILToTensor

from adapter.encoder import Encoder, Preprocessing, load_encoder
from adapter.images import open_image, to_pixels
from adapter.resizing import scaled_short_edge

_Read = Callable[[bytes], Tensor]


@dataclass(frozen=True)
class Difference:
    """Of pixels, and of the features made of them, from open_clip's own.

    Attributes:
        largest: of any channel of any pixel, in steps of 255.
        mean: likewise.
        lowest_cosine: of any picture's feature with that of open_clip's pixels.
    """

    largest: int
    mean: float
    lowest_cosine: float


@dataclass(frozen=True)
class Scaled:
    """Decoding at a smaller scale, on the photographs that are large enough for it.

    Attributes:
        photographs: how many those are.
        ours_ms: one a repeat, of a photograph, decoded at a smaller scale.
        full_ms: likewise, of the same photographs at their full size.
        open_clip_ms: likewise, by open_clip's transform.
        difference: from open_clip's own.
    """

    photographs: int
    ours_ms: tuple[float, ...]
    full_ms: tuple[float, ...]
    open_clip_ms: tuple[float, ...]
    difference: Difference


@dataclass(frozen=True)
class Measured:
    """One model's size.

    Attributes:
        model: whose pre-processing and image tower it is.
        edge: of its pixels.
        ours_ms: one a repeat, of a photograph.
        decode_ms: the part of `ours_ms` up to the whole picture, likewise.
        open_clip_ms: one a repeat, each taken right after ours.
        difference: from open_clip's own.
        scaled: None where no photograph is large enough.
    """

    model: str
    edge: int
    ours_ms: tuple[float, ...]
    decode_ms: tuple[float, ...]
    open_clip_ms: tuple[float, ...]
    difference: Difference
    scaled: Scaled | None


def measure(photographs: Sequence[bytes], repeats: int) -> tuple[Measured, ...]:
    """The model that ships, and ViT-B-32 with random weights. Sets torch to one thread.

    Args:
        photographs: JPEG files.
        repeats: how often each goes over all photographs, ours and theirs by turns.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return tuple(
            _measure(encoder, photographs, repeats)
            for encoder in (load_encoder(device="cpu"), load_encoder("ViT-B-32", "random"))
        )
    finally:
        torch.set_num_threads(threads)


def _measure(encoder: Encoder, photographs: Sequence[bytes], repeats: int) -> Measured:
    preprocessing = encoder.preprocessing

    def ours(data: bytes) -> Tensor:
        return to_pixels(open_image(data), preprocessing)

    def decode(data: bytes) -> Tensor:
        return open_image(data).pixels

    steps = _transform(preprocessing)
    ours_ms, decode_ms, theirs_ms = _times([ours, decode, _reader(steps)], photographs, repeats)
    return Measured(
        encoder.name,
        preprocessing.size[0],
        ours_ms,
        decode_ms,
        theirs_ms,
        _difference(encoder, ours, steps, photographs),
        _scaled(encoder, photographs, repeats),
    )


def _scaled(encoder: Encoder, photographs: Sequence[bytes], repeats: int) -> Scaled | None:
    preprocessing = encoder.preprocessing
    least = scaled_short_edge(preprocessing)
    chosen = [data for data in photographs if open_image(data, None, least).scale > 1]
    if not chosen:
        return None

    def ours(data: bytes) -> Tensor:
        return to_pixels(open_image(data, None, least), preprocessing)

    def full(data: bytes) -> Tensor:
        return to_pixels(open_image(data), preprocessing)

    steps = _transform(preprocessing)
    ours_ms, full_ms, theirs_ms = _times([ours, full, _reader(steps)], chosen, repeats)
    difference = _difference(encoder, ours, steps, chosen)
    return Scaled(len(chosen), ours_ms, full_ms, theirs_ms, difference)


def _transform(preprocessing: Preprocessing) -> list[Any]:
    """The steps of open_clip's own transform."""
    height, width = preprocessing.size
    config = PreprocessCfg(
        size=height if height == width else (height, width),
        mean=preprocessing.mean,
        std=preprocessing.std,
        interpolation=preprocessing.interpolation,
        resize_mode=preprocessing.resize_mode,
        fill_color=preprocessing.fill_color,
    )
    steps: list[Any] = image_transform_v2(config, is_train=False).transforms
    return steps


def _reader(steps: Sequence[Any]) -> _Read:
    transform = Compose(steps)

    def read(data: bytes) -> Tensor:
        pixels: Tensor = transform(Image.open(BytesIO(data)))
        return pixels

    return read


def _times(
    readers: Sequence[_Read], photographs: Sequence[bytes], repeats: int
) -> tuple[tuple[float, ...], ...]:
    """Milliseconds a photograph, of each reader in each repeat."""
    for read in readers:
        read(photographs[0])
    rows = []
    for _ in range(repeats):
        row = []
        for read in readers:
            began = time.perf_counter()
            for data in photographs:
                read(data)
            row.append((time.perf_counter() - began) * 1e3 / len(photographs))
        rows.append(row)
    return tuple(zip(*rows, strict=True))


def _difference(
    encoder: Encoder, ours: _Read, steps: Sequence[Any], photographs: Sequence[bytes]
) -> Difference:
    # Up to the conversion to floats, which ends open_clip's work on uint8.
    theirs = _reader([*steps[:-2], PILToTensor()])
    mine = torch.stack([ours(data) for data in photographs])
    reference = torch.stack([theirs(data) for data in photographs])
    apart = (mine.int() - reference.int()).abs()
    cosines = (encoder.encode_images(mine) * encoder.encode_images(reference)).sum(1)
    return Difference(int(apart.max()), float(apart.float().mean()), float(cosines.min()))
