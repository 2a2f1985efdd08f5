"""Random views of image batches, on tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from adapter.embedded.measure import Norm


def views(
    pixels: Tensor, drawn: Tensor, size: int, norm: Norm, generator: torch.Generator
) -> Tensor:
    """One random view of each image: (B, 3, S, S) uint8 to (B, 3, size, size) normalised float32.

    Photographs are cropped to 30-100 % of their area; drawings are only moved and scaled a
    little, since their captions count what they show. Both are mirrored and their light varied.
    """
    image = pixels.float() / 255
    shape = [len(image), 3, size, size]
    grid = F.affine_grid(_motion(drawn, generator), shape, align_corners=False)
    image = F.grid_sample(image, grid, padding_mode="border", align_corners=False)
    return (_light(image, drawn, generator) - norm.mean) / norm.std


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def _motion(drawn: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 2, 3) affine maps from the view to the image."""
    n = len(drawn)
    crop = _uniform((n,), 0.3, 1.0, generator).sqrt()
    zoom = _uniform((n,), 0.88, 1.2, generator)
    scale = torch.where(drawn, zoom, crop)
    ratio = torch.exp(_uniform((n,), -0.15, 0.15, generator)) ** (~drawn)
    turn = torch.randn(n, generator=generator) * torch.where(drawn, 0.12, 0.06)
    side = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    slack = torch.where(drawn, torch.full((n,), 0.12), (1 - scale).clamp(min=0.0))
    shift = _uniform((2, n), -1.0, 1.0, generator) * slack
    cos, sin = turn.cos(), turn.sin()
    sx, sy = scale * ratio, scale / ratio
    rows = [sx * cos * side, -sy * sin, shift[0], sx * sin * side, sy * cos, shift[1]]
    return torch.stack(rows, dim=1).view(n, 2, 3)


def _light(image: Tensor, drawn: Tensor, generator: torch.Generator) -> Tensor:
    n = (len(image), 1, 1, 1)
    wide = torch.where(drawn, 0.5, 1.0).view(n)
    gain = 1 + wide * _uniform(n, -0.3, 0.3, generator)
    contrast = 1 + wide * _uniform(n, -0.35, 0.35, generator)
    saturation = 1 + wide * _uniform(n, -0.4, 0.4, generator)
    pale = (torch.rand(n, generator=generator) < 0.1) & ~drawn.view(n)
    saturation = torch.where(pale, torch.zeros(n), saturation)
    grey = image.mean(1, keepdim=True)
    image = grey + saturation * (image - grey)
    level = grey.mean((2, 3), keepdim=True)
    return (gain * (level + contrast * (image - level))).clamp(0, 1)
