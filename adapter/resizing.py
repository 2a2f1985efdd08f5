"""Pictures to the pixels that a tower takes, with open_clip's geometry.

On uint8, antialiased as Pillow does it (a filter as wide as the scale, across and then down),
with weights of 16 bits: at most one step of 255 from open_clip's own transform.
Nothing here wakes torch's team of threads: copies of this size would.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from adapter.encoder import Preprocessing
from adapter.image_errors import MAX_EDGE
from adapter.picture import Picture

VIEW_SCALE = (0.5, 1.0)
VIEW_RATIO = (3 / 4, 4 / 3)
# Above this, resizing the short edge first would make an image of gigabytes from a thin strip.
LARGEST_STRIP = 16

_Edges = tuple[int, int]
"""Height and width."""
_MODES = {
    "bilinear": "bilinear",
    "bicubic": "bicubic",
    "random": "bicubic",  # open_clip's own reading of it outside training
}
_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}
"""Pixels on each side that a pixel of the result is made of, where nothing is made smaller."""
_PILLOWS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class _Box:
    """Part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


def scaled_short_edge(preprocessing: Preprocessing) -> int:
    """Pixels that a picture's short edge must keep where it may be decoded at a smaller scale."""
    return 2 * max(preprocessing.size)


def to_pixels(picture: Picture, preprocessing: Preprocessing) -> Tensor:
    """Resize and crop as the model wants it: uint8 (3, H, W), contiguous.

    At most 1 of 255 from open_clip's own transform before normalisation, except for strips
    thinner than 1 to 16, where that would make an image of gigabytes, and for a picture that
    was decoded at a smaller scale.
    """
    size, mode = preprocessing.size, _MODES[preprocessing.interpolation]
    if preprocessing.resize_mode == "squash":
        return _resized(picture, size, _Box(0, 0, *size), mode)
    edges = (picture.height, picture.width)
    if preprocessing.resize_mode == "longest":
        fitted = _fitted(edges, size, longest=True)
        whole = _resized(picture, fitted, _Box(0, 0, *fitted), mode)
        return _centre(whole, size, preprocessing.fill_color)
    if size[0] != size[1]:
        mode = "bicubic"  # open_clip ignores the setting for oblongs
    fitted = _fitted(edges, size, longest=False)
    top, left = (round((edge - wanted) / 2) for edge, wanted in zip(fitted, size, strict=True))
    box = _Box(top, left, *size)
    if fitted[0] * fitted[1] > LARGEST_STRIP * size[0] * size[1]:
        return _of_strip(picture, fitted, box, mode)
    return _resized(picture, fitted, box, mode)


def view_pixels(picture: Picture, preprocessing: Preprocessing, count: int, seed: int) -> Tensor:
    """Random views of a picture, as Tip-Adapter's keys use them: uint8 (count, 3, H, W).

    Each is a RandomResizedCrop of 0.5 to 1 of the area, bicubic, flipped in half of the
    cases; the same seed gives the same views.
    """
    generator = random.Random(seed)
    rows = picture.rows
    views = np.empty((count, 3, *preprocessing.size), np.uint8)
    for row in range(count):
        box = _random_box((rows.shape[0], rows.shape[1]), generator)
        crop = rows[box.top : box.top + box.height, box.left : box.left + box.width]
        view = _interpolated(crop, "bicubic", size=preprocessing.size)
        views[row] = view[:, :, ::-1] if generator.random() < 0.5 else view
    return torch.from_numpy(views)


def fit_within(picture: Picture, edge: int) -> np.ndarray:
    """(h, w, 3) uint8: bicubic, its longest edge at most `edge`; as it is where it is no more."""
    rows = picture.rows
    height, width = rows.shape[:2]
    ratio = edge / max(height, width)
    if ratio >= 1:
        return rows
    size = (max(1, round(height * ratio)), max(1, round(width * ratio)))
    return np.ascontiguousarray(_interpolated(rows, "bicubic", size=size).transpose(1, 2, 0))


def _resized(picture: Picture, to: _Edges, box: _Box, mode: str) -> Tensor:
    """The box of the picture resized to `to`."""
    rows = picture.rows
    # The last row and column may stand for less than the others: so the factor is not that
    # of the numbers of pixels. A little more, so that rounding does not cost a whole pixel.
    down, across = (
        wanted * picture.scale / edge * (1 + 1e-12)
        for wanted, edge in zip(to, (picture.height, picture.width), strict=True)
    )
    bottom = _needed(box.top + box.height, down, mode)
    right = _needed(box.left + box.width, across, mode)
    resized = _interpolated(rows[:bottom, :right], mode, factors=(down, across))
    part = resized[:, box.top : box.top + box.height, box.left : box.left + box.width]
    return torch.from_numpy(np.ascontiguousarray(part))


def _needed(end: int, factor: float, mode: str) -> int:
    """How many pixels the first `end` pixels of the result are made of."""
    if factor >= 1:  # all: torch leaves an edge as it is whose length stays the same
        return MAX_EDGE
    return math.ceil((end + _SUPPORT[mode]) / factor) + 1


def _interpolated(
    rows: np.ndarray,
    mode: str,
    *,
    size: _Edges | None = None,
    factors: tuple[float, float] | None = None,
) -> np.ndarray:
    """(3, h, w) of (h, w, 3), to a size or by factors."""
    pixels = torch.from_numpy(np.ascontiguousarray(rows)[None]).permute(0, 3, 1, 2)
    resized = functional.interpolate(
        pixels, size=size, scale_factor=factors, mode=mode, antialias=True
    )
    array: np.ndarray = resized[0].numpy()
    return array


def _of_strip(picture: Picture, to: _Edges, box: _Box, mode: str) -> Tensor:
    """`_resized` from the box's own place in the picture, by Pillow, which can."""
    image = Image.fromarray(picture.rows)
    down, across = image.height / to[0], image.width / to[1]
    left, top = box.left * across, box.top * down
    place = (left, top, left + box.width * across, top + box.height * down)
    small = image.resize((box.width, box.height), _PILLOWS[mode], box=place)
    return torch.from_numpy(np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1)))


def _fitted(edges: _Edges, target: _Edges, *, longest: bool) -> _Edges:
    """To what open_clip resizes before it crops or pads to `target`."""
    if not longest and target[0] == target[1]:
        short, long = min(edges), max(edges)
        fitted = (target[0], int(target[0] * long / short))
        return fitted if edges[0] <= edges[1] else (fitted[1], fitted[0])
    ratios = [edge / wanted for edge, wanted in zip(edges, target, strict=True)]
    ratio = max(ratios) if longest else min(ratios)
    return max(1, round(edges[0] / ratio)), max(1, round(edges[1] / ratio))


def _centre(image: Tensor, target: _Edges, fill: int) -> Tensor:
    """Pad and crop (3, h, w) to `target`, centred, with open_clip's rounding."""
    edges = (image.shape[1], image.shape[2])
    top, left = (max(0, wanted - edge) // 2 for edge, wanted in zip(edges, target, strict=True))
    padded = [max(edge, wanted) for edge, wanted in zip(edges, target, strict=True)]
    canvas = torch.full((3, *padded), fill, dtype=torch.uint8)
    canvas[:, top : top + edges[0], left : left + edges[1]] = image
    top, left = (round((edge - wanted) / 2) for edge, wanted in zip(padded, target, strict=True))
    return canvas[:, top : top + target[0], left : left + target[1]].contiguous()


def _random_box(edges: _Edges, generator: random.Random) -> _Box:
    """A crop as torchvision's RandomResizedCrop draws it."""
    height, width = edges
    for _ in range(10):
        area = width * height * generator.uniform(*VIEW_SCALE)
        ratio = math.exp(generator.uniform(*(math.log(bound) for bound in VIEW_RATIO)))
        across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            left, top = generator.randint(0, width - across), generator.randint(0, height - down)
            return _Box(top, left, down, across)
    # No such crop fits into a strip: the largest central one of an allowed ratio.
    ratio = min(max(width / height, VIEW_RATIO[0]), VIEW_RATIO[1])
    across, down = min(width, round(height * ratio)), min(height, round(width / ratio))
    return _Box((height - down) // 2, (width - across) // 2, max(1, down), max(1, across))
