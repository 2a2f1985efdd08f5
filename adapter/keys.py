"""From an image to its key: the crops that it is seen in, and the mean of their features."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from adapter.encoder import Preprocessing
from adapter.picture import Picture
from adapter.resizing import to_pixels, view_pixels

VIEWS = 10
"""Random crops that an image's key is the mean of (Tip-Adapter)."""
CROPS = 256
"""Crops in one pass of the image tower: bounds memory whatever batch and views are."""


def crops(picture: Picture, preprocessing: Preprocessing, views: int, sha256: str) -> Tensor:
    """(v, 3, H, W) uint8: random views of a picture; with v = 1, its plain centre crop.

    Args:
        picture: to look at.
        preprocessing: of the encoder.
        views: v, at least 1.
        sha256: hex, of the picture's file: the same bytes are always seen alike.
    """
    if views == 1:
        return to_pixels(picture, preprocessing)[None]
    return view_pixels(picture, preprocessing, views, seed=int(sha256[:12], 16))


def key_of_views(views: Tensor) -> Tensor:
    """(..., D): unit mean of unit features (..., v, D) of v views; normalised once, at the end.

    (Tip-Adapter's augmented keys.) Views that cancel out exactly give zeros.
    """
    if views.shape[-2] == 1:
        # Of unit length already: for a query, three small operations that change nothing.
        return views[..., 0, :]
    return functional.normalize(views.mean(-2), dim=-1)
