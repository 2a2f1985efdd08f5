"""The caches that are served: a small one of drawn pictures, and a large one of drawn features."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from adapter.drawings import DEMO_CLASSES, demo_image
from adapter.encoder import Encoder
from adapter.images import ImageLimits
from indexer.cache import Cache, NewShot
from service.images import Preparation

SHOTS = 16
SPREAD = 0.6
"""How far a drawn shot lies from its class, beside the distance of classes from each other."""


def taught_pictures(folder: Path, encoder: Encoder, shots: int = SHOTS) -> Path:
    """A cache of the demonstration's twelve classes, each with so many drawn pictures; its path."""
    preparation = Preparation(encoder.preprocessing, encoder.width, ImageLimits())
    features = {}
    for label in DEMO_CLASSES:
        images = [preparation.query(_png(label, seed)).pixels for seed in range(shots)]
        pixels = torch.cat([image for image in images if image is not None])
        features[label] = encoder.encode_images(pixels).float().cpu()
    return _taught(folder, encoder, features)


def taught_features(folder: Path, encoder: Encoder, classes: int, shots: int = SHOTS) -> Path:
    """A cache of so many classes with drawn features around a centre for each; its path."""
    draw = torch.Generator().manual_seed(0)
    centres = functional.normalize(torch.randn(classes, 1, encoder.width, generator=draw), dim=-1)
    around = torch.randn(classes, shots, encoder.width, generator=draw)
    drawn = functional.normalize(centres + SPREAD * functional.normalize(around, dim=-1), dim=-1)
    features = {f"class {number}": rows for number, rows in enumerate(drawn)}
    return _taught(folder, encoder, features)


def _taught(folder: Path, encoder: Encoder, features: Mapping[str, Tensor]) -> Path:
    """Rows (shots, D) for each label, taught, and the numbers of answers fitted to them."""
    with Cache.open(folder, encoder) as cache:
        cache.encode_ahead(features, ())
        with cache.group():
            for label, rows in features.items():
                cache.add(label, [_shot(label, place, row) for place, row in enumerate(rows)])
        cache.refit()
    return folder


def _png(label: str, seed: int) -> bytes:
    stream = BytesIO()
    demo_image(label, seed).save(stream, "PNG")
    return stream.getvalue()


def _shot(label: str, place: int, feature: Tensor) -> NewShot:
    return NewShot(feature, hashlib.sha256(f"{label} {place}".encode()).hexdigest())
