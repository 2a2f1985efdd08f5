"""What was given, made ready for the device: pixels of the model's size, or a unit embedding.

Runs in the decoding threads; decoding, resizing and hashing let go of the interpreter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from adapter.encoder import Preprocessing
from adapter.images import ImageLimits, Picture, open_image, thumbnail, to_pixels, view_pixels
from adapter.resizing import scaled_short_edge
from service.bodies import Given
from service.errors import Problem, as_problem


@dataclass
class Prepared:
    """One image or embedding, ready for the device.

    Attributes:
        pixels: (v, 3, H, W) uint8 views, None for an embedding.
        feature: (D,) unit; None for an image until it is encoded.
        views: (v, D), the views' features; None where there is only one.
        sha256: of the bytes as sent (of an embedding: its float32 numbers); "" for a query.
        thumbnail: WebP; None for a query or an embedding.
    """

    pixels: Tensor | None = None
    feature: Tensor | None = None
    views: Tensor | None = None
    sha256: str = ""
    thumbnail: bytes | None = None


@dataclass(frozen=True)
class Preparation:
    """How things are made ready for one model.

    Attributes:
        preprocessing: of the model.
        width: D.
        limits: of an image.
        views: of a taught image; 1 is the plain centre crop.
        scaled: large JPEGs may be decoded at a smaller scale, as in `scaled_short_edge`.
    """

    preprocessing: Preprocessing
    width: int
    limits: ImageLimits
    views: int = 1
    scaled: bool = False

    def query(self, given: Given) -> Prepared:
        """To be classified. Raises Problem, or ImageError."""
        if isinstance(given, Problem):
            raise given
        if isinstance(given, bytes):
            return Prepared(pixels=to_pixels(self._open(given), self.preprocessing)[None])
        return Prepared(feature=_unit(_narrow(given, self.width)))

    def shot(self, given: Given) -> Prepared:
        """To be taught. Raises Problem, or ImageError."""
        if isinstance(given, Problem):
            raise given
        if not isinstance(given, bytes):
            narrow = _narrow(given, self.width)
            digest = hashlib.sha256(narrow.tobytes()).hexdigest()
            return Prepared(feature=_unit(narrow), sha256=digest)
        image = self._open(given)
        digest = hashlib.sha256(given).hexdigest()
        if self.views == 1:
            pixels = to_pixels(image, self.preprocessing)[None]
        else:
            # The same picture always gives the same key.
            pixels = view_pixels(image, self.preprocessing, self.views, int(digest[:8], 16))
        return Prepared(pixels=pixels, sha256=digest, thumbnail=thumbnail(image))

    def _open(self, data: bytes) -> Picture:
        edge = scaled_short_edge(self.preprocessing) if self.scaled else None
        return open_image(data, self.limits, edge)

    def query_or_problem(self, given: Given) -> Prepared | Problem:
        """`query`, with what is wrong as a value."""
        try:
            return self.query(given)
        except Exception as error:
            problem = as_problem(error)
            if problem is None:
                raise
            return problem


def _narrow(values: Sequence[float], width: int) -> np.ndarray:
    """(D,) little-endian float32, checked. The norm is of float64, where it cannot overflow."""
    if len(values) != width:
        raise Problem(
            "invalid",
            f"embedding: expected {width} numbers, the width of this model's features, "
            f"got {len(values)}",
        )
    with np.errstate(over="ignore"):
        narrow = np.asarray(values, np.float64).astype("<f4")
    wrong = np.flatnonzero(~np.isfinite(narrow))
    if len(wrong):
        raise Problem(
            "invalid",
            f"embedding: expected finite numbers of 32 bits, got {values[wrong[0]]!r} "
            f"at position {wrong[0]}",
        )
    if not narrow.any():
        raise Problem("invalid", "embedding: expected a direction, got nothing but zeros")
    return narrow


def _unit(narrow: np.ndarray) -> Tensor:
    wide = narrow.astype(np.float64)
    return torch.from_numpy((wide / np.linalg.norm(wide)).astype(np.float32))
