"""The shipped model and a cache's head, called as open_clip's documentation does: what peers serve.

The model, its weights and the head are the service's own; decoding, batching and HTTP are each
peer's. So only the serving differs.
"""

from __future__ import annotations

import threading
from io import BytesIO
from pathlib import Path

import open_clip
import torch
from PIL import Image
from torch import Tensor
from typing_extensions import TypedDict

from adapter import embedded
from adapter.encoder import load_encoder
from indexer.cache import Cache

BEST = 5
"""Classes in an answer, as in the service's."""


class Prediction(TypedDict):
    """One class of an answer."""

    label: str
    probability: float


class Answer(TypedDict):
    """What one image is answered with."""

    label: str
    predictions: list[Prediction]


class Classifier:
    """From bytes to an answer, in the three steps that a server may put together as it likes.

    Args:
        cache: folder of a cache of the shipped model.
    """

    def __init__(self, cache: Path) -> None:
        embedded.register()
        weights = str(embedded.weights_path())
        self._model, _, self._transform = open_clip.create_model_and_transforms(
            embedded.MODEL_NAME, pretrained=weights
        )
        self._model.eval()
        self._cache = Cache.open(cache, load_encoder(), create=False)
        self._one_at_a_time = threading.Lock()

    def pixels(self, image: bytes) -> Tensor:
        """An image to normalised pixels (3, H, W), by open_clip's own transform."""
        pixels: Tensor = self._transform(Image.open(BytesIO(image)))
        return pixels

    def features(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (B, 3, H, W) to unit features (B, D)."""
        with torch.inference_mode():
            features: Tensor = self._model.encode_image(pixels, normalize=True)
        return features

    def answers(self, features: Tensor) -> list[Answer]:
        """Unit features (B, D) to an answer each. From any thread."""
        # The cache is for one thread at a time.
        with self._one_at_a_time:
            scores = self._cache.classify(features)
        found = []
        best = scores.probabilities.topk(min(BEST, len(scores.labels)))
        for values, columns in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            predictions = [
                Prediction(label=scores.labels[column], probability=value)
                for value, column in zip(values, columns, strict=True)
            ]
            found.append(Answer(label=predictions[0]["label"], predictions=predictions))
        return found
