"""The tower pair as one value: model, tokenizer, pre-processing, logit scale, fingerprint.

`load_encoder` gives open_clip models (the one that ships, any pre-trained one, a file of
weights, or random weights); `PixelEncoder` needs no weights and is meant for tests.
Every failure to load is an `EncoderError` that says what to do.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from adapter.precision import Precision, chosen_dtype
from adapter.tower import ImageTower
from adapter.weights import DEFAULT_MODEL, EncoderError, Weights, create_towers, find_weights

__all__ = [
    "DEFAULT_MODEL",
    "Encoder",
    "EncoderError",
    "OpenClipEncoder",
    "PixelEncoder",
    "Precision",
    "Preprocessing",
    "check_pixels",
    "fingerprint",
    "load_encoder",
]

TEXT_BATCH = 256


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the tower's input; it travels with the weights.

    `size` is (height, width); `mean` and `std` are per channel, of values in 0..1;
    `resize_mode` is open_clip's: "shortest" (resize, crop), "longest" (resize, pad with
    `fill_color`) or "squash".
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: int = 0


class Encoder(Protocol):
    """What the rest of the product needs of a pair of towers."""

    @property
    def name(self) -> str:
        """Model and weights, as shown to people: "ViT-B-32/laion2b_s34b_b79k"."""

    @property
    def fingerprint(self) -> str:
        """Hex sha256 over model name, weights' checksum and pre-processing."""

    @property
    def width(self) -> int:
        """D, the number of components of a feature."""

    @property
    def logit_scale(self) -> float:
        """s, the factor of zero-shot cosines (100 for OpenAI's CLIP)."""

    @property
    def preprocessing(self) -> Preprocessing:
        """What images must go through before `encode_images`."""

    @property
    def device(self) -> torch.device:
        """Where the towers, and the features they give, are."""

    def encode_images(self, pixels: Tensor) -> Tensor:
        """uint8 pixels (B, 3, H, W), on any device, to unit-norm float32 features (B, D)."""

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """M texts to unit-norm float32 features (M, D); M may be 0."""

    def warm(self, largest: int) -> None:
        """Make ready for batches of up to `largest` images, on the thread that will encode."""


def load_encoder(
    model: str = DEFAULT_MODEL,
    pretrained: str | None = None,
    *,
    device: str = "auto",
    precision: Precision = "auto",
    cache_dir: Path | None = None,
) -> Encoder:
    """Load a tower pair.

    Args:
        model: the shipped model's name (the default), an open_clip model's name, or
            "hf-hub:ORGANISATION/NAME".
        pretrained: a tag of open_clip's, a local file of weights, or "random" for weights
            from a fixed seed, which give right shapes and costs and meaningless answers.
            Not needed for the shipped model, and not taken with "hf-hub:".
        device: "auto" (CUDA where there is one), or a name that torch knows.
        precision: of the image tower, see `adapter.precision`; the text tower is fp32.
            Features are float32 whatever it is.
        cache_dir: where downloaded weights are kept; the library's own place if None.

    Raises:
        EncoderError: the model, its weights or the device cannot be had.
    """
    target = _resolve_device(device)
    try:
        dtype = chosen_dtype(precision, target)
    except ValueError as error:
        raise EncoderError(str(error)) from error
    weights = find_weights(model, pretrained, cache_dir)
    towers, tokenizer = create_towers(weights, target, cache_dir)
    return OpenClipEncoder(weights, towers, tokenizer, target, dtype)


class OpenClipEncoder:
    """An open_clip model behind the `Encoder` protocol. Made by `load_encoder`."""

    def __init__(
        self,
        weights: Weights,
        towers: Any,
        tokenizer: Any,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._towers = towers
        self._tokenizer = tokenizer
        self.device = device
        self.name = weights.name
        self.preprocessing = _preprocessing_of(towers)
        self.logit_scale = float(towers.logit_scale.detach().float().exp().max())
        self.fingerprint = fingerprint(weights.model, weights.checksum(), self.preprocessing)
        self.width = self._tokens_to_features([""]).shape[1]
        seen = self.preprocessing
        self._tower = ImageTower(towers, seen.size, seen.mean, seen.std, dtype)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """uint8 pixels (B, 3, H, W) to unit-norm float32 features (B, D); B may be 0.

        Raises:
            ValueError: another type or shape than the pre-processing's.
        """
        check_pixels(pixels, self.preprocessing)
        if len(pixels) == 0:
            return torch.zeros(0, self.width, device=self.device)
        return _unit(self._tower(pixels))

    def warm(self, largest: int) -> None:
        """Make ready for batches of up to `largest` images, on the thread that will encode."""
        self._tower.warm(largest)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """M texts to unit-norm float32 features (M, D); M may be 0."""
        parts = [
            self._tokens_to_features(texts[start : start + TEXT_BATCH])
            for start in range(0, len(texts), TEXT_BATCH)
        ]
        return torch.cat(parts) if parts else torch.zeros(0, self.width, device=self.device)

    def _tokens_to_features(self, texts: Sequence[str]) -> Tensor:
        # JSON can carry half a surrogate pair, which tokenizers cannot encode.
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        tokens = self._tokenizer(clean).to(self.device)
        with torch.inference_mode():
            features = self._towers.encode_text(tokens)
        return _unit(features)


class PixelEncoder:
    """An encoder without weights, for tests: it is made in an instant and is deterministic.

    An image's feature is a fixed projection of its colours on a 4 x 4 grid, so that like
    images have like features; a text's feature is drawn from a hash of the text, so that it
    tells nothing about images, as a name that CLIP has never seen.
    """

    GRID = 4

    def __init__(self, width: int = 32, image_size: int = 32, device: str = "cpu") -> None:
        self.name = "pixel-encoder"
        self.width = width
        self.logit_scale = 10.0
        self.device = torch.device(device)
        half = (0.5, 0.5, 0.5)
        self.preprocessing = Preprocessing((image_size, image_size), half, half)
        generator = torch.Generator().manual_seed(0)
        inputs = 3 * self.GRID**2 + 1
        self._projection = torch.randn(inputs, width, generator=generator).to(self.device)
        self.fingerprint = fingerprint(self.name, f"seed 0, width {width}", self.preprocessing)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """uint8 pixels (B, 3, H, W) to unit-norm float32 features (B, D)."""
        check_pixels(pixels, self.preprocessing)
        centred = pixels.to(self.device).float() / 127.5 - 1
        colours = functional.adaptive_avg_pool2d(centred, self.GRID).flatten(1)
        # A constant beside the colours: an image of mid-grey must not have a feature of zero.
        inputs = torch.cat([colours, colours.new_full((len(colours), 1), 0.1)], dim=1)
        return _unit(inputs @ self._projection)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """M texts to unit-norm float32 features (M, D); M may be 0."""
        rows = [self._text_row(text) for text in texts]
        stacked = torch.stack(rows) if rows else torch.zeros(0, self.width)
        return _unit(stacked.to(self.device))

    def warm(self, largest: int) -> None:
        """Encode once: no size of a batch is slower the first time."""
        self.encode_images(torch.zeros(1, 3, *self.preprocessing.size, dtype=torch.uint8))

    def _text_row(self, text: str) -> Tensor:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))
        return torch.randn(self.width, generator=generator)


def fingerprint(model: str, checksum: str, preprocessing: Preprocessing) -> str:
    """Hex sha256 that is equal exactly when features may be compared with each other."""
    facts = {"model": model, "weights": checksum, "preprocessing": asdict(preprocessing)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def check_pixels(pixels: Tensor, preprocessing: Preprocessing) -> None:
    """Refuse pixels that the towers would misread.

    Raises:
        ValueError: not uint8, or not (B, 3, H, W) of the pre-processing's size.
    """
    height, width = preprocessing.size
    if pixels.dtype != torch.uint8:
        raise ValueError(f"expected uint8 pixels (0 to 255), got {pixels.dtype}")
    if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, height, width):
        raise ValueError(
            f"expected pixels of shape (B, 3, {height}, {width}), got {tuple(pixels.shape)}: "
            "make them with adapter.resizing.to_pixels"
        )


def _unit(features: Tensor) -> Tensor:
    # In float32: a half-precision norm loses three digits and can overflow.
    return functional.normalize(features.float(), dim=-1)


def _preprocessing_of(towers: Any) -> Preprocessing:
    import open_clip

    facts = open_clip.get_model_preprocess_cfg(towers)
    size = facts["size"]
    height, width = (size, size) if isinstance(size, int) else size
    mean, std = (tuple(float(value) for value in facts[key]) for key in ("mean", "std"))
    return Preprocessing(
        size=(int(height), int(width)),
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        interpolation=str(facts["interpolation"]),
        resize_mode=str(facts["resize_mode"]),
        fill_color=int(facts["fill_color"]),
    )


def _resolve_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise EncoderError(
            f"expected a device such as auto, cpu or cuda, got {device!r}"
        ) from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise EncoderError(
            f"{device!r} was asked for, but no CUDA device is usable: give cpu or auto"
        )
    return resolved
