"""Shots on their way into a cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from indexer.labels import clean_caption
from indexer.opening import check_features
from indexer.records import Floats, StoredAdd, StoredShot


@dataclass(frozen=True)
class NewShot:
    """A shot to be added.

    Attributes:
        feature: (D,), the image key; scaled to unit norm if it is not.
        sha256: of the image's bytes, in hex: what makes a duplicate.
        caption: its own words; without them its class's text feature is its text.
        thumbnail: WebP bytes; None where no image came with it.
        views: (v, D), the features that the key is the mean of, kept for training.
    """

    feature: Tensor
    sha256: str
    caption: str | None = None
    thumbnail: bytes | None = None
    views: Tensor | None = None


@dataclass(frozen=True)
class Added:
    """What an `add` did, in the order of its shots.

    Attributes:
        shot_ids: of the shots.
        created: which of them are new.
        merged: which of them have their key merged into another's, since the class is full.
        label: of the class.
        shots_in_class: now.
        version: of the cache.
    """

    shot_ids: tuple[str, ...]
    created: tuple[bool, ...]
    merged: tuple[bool, ...]
    label: str
    shots_in_class: int
    version: int

    @classmethod
    def of(cls, label: str, stored: StoredAdd) -> Added:
        """From what the store says of it."""
        return cls(
            shot_ids=tuple(each.shot_id for each in stored.placed),
            created=tuple(each.created for each in stored.placed),
            merged=tuple(each.merged for each in stored.placed),
            label=label,
            shots_in_class=stored.shots_in_class,
            version=stored.version,
        )


def to_store(shots: Sequence[NewShot], width: int) -> list[StoredShot]:
    """Check shots, one or more, and bring their keys to unit norm, on the CPU.

    Raises:
        FeatureError: a feature, or a view, of another width, zero, or not finite.
        PromptError: a caption that cannot be stored.
    """
    for shot in shots:
        check_features(shot.feature[None], width, zero=False)
        if shot.views is not None:
            check_features(shot.views, width)
    features = torch.stack([shot.feature.float() for shot in shots])
    keys = as_array(functional.normalize(features, dim=1))
    return [
        StoredShot(
            sha256=shot.sha256,
            key=key,
            caption=clean_caption(shot.caption),
            views=None if shot.views is None else as_array(shot.views).astype(np.float16),
            thumbnail=shot.thumbnail,
        )
        for shot, key in zip(shots, keys, strict=True)
    ]


def as_array(features: Tensor) -> Floats:
    """A float32 copy on the CPU."""
    array: Floats = features.numpy(force=True).astype(np.float32)
    return array
