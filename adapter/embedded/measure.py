"""What a model's features can do: zero-shot answers and means of a few shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from adapter import drawings
from adapter.drawings import SHAPES, Scene
from adapter.drawings.captions import article
from adapter.embedded.pool import Tokenizer, resize

PROMPT = "a photo of {}."


@dataclass(frozen=True, eq=False)
class Norm:
    """Mean and deviation of the model's input, each (3, 1, 1)."""

    mean: Tensor
    std: Tensor


def norm_of(model: torch.nn.Module) -> Norm:
    """The normalisation that open_clip attached to the model."""
    from open_clip import get_model_preprocess_cfg

    config = get_model_preprocess_cfg(model)
    return Norm(*(torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std")))


@torch.inference_mode()
def embed(model: torch.nn.Module, pixels: Tensor, batch: int = 250) -> Tensor:
    """(N, D) unit-norm features of (N, 3, S, S) uint8 images of the model's size."""
    norm, was_training = norm_of(model), model.training
    model.eval()
    features = [
        model.encode_image((part.float() / 255 - norm.mean) / norm.std)  # type: ignore[operator]
        for part in torch.split(pixels, batch)
    ]
    model.train(was_training)
    return F.normalize(torch.cat(features), dim=-1)


@torch.inference_mode()
def embed_text(model: torch.nn.Module, tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """(M, D) unit-norm features of sentences."""
    parts = [list(texts[i : i + 512]) for i in range(0, len(texts), 512)]
    features = [model.encode_text(tokenizer(part)) for part in parts]  # type: ignore[operator]
    return F.normalize(torch.cat(features), dim=-1)


def zero_shot(
    model: torch.nn.Module,
    tokenizer: Tokenizer,
    features: Tensor,
    labels: Sequence[str],
    names: Sequence[str],
) -> float:
    """Share of `features` (N, D) whose nearest prompt among `names` is that of its label."""
    prompts = [PROMPT.format(article(name)) for name in names]
    nearest = (features @ embed_text(model, tokenizer, prompts).T).argmax(1)
    return float(np.mean([names[int(i)] == y for i, y in zip(nearest, labels, strict=True)]))


def nearest_mean(features: Tensor, labels: Sequence[str], shots: int, draws: int = 3) -> float:
    """Accuracy of the nearest class mean of `shots` features a class, on all the others."""
    names = sorted(set(labels))
    target = torch.tensor([names.index(label) for label in labels])
    scores = []
    for seed in range(draws):
        order = torch.randperm(len(target), generator=torch.Generator().manual_seed(seed))
        taught = [order[target[order] == k][:shots] for k in range(len(names))]
        means = F.normalize(torch.stack([features[rows].mean(0) for rows in taught]), dim=-1)
        rest = torch.ones(len(target), dtype=torch.bool)
        rest[torch.cat(taught)] = False
        scores.append((features[rest] @ means.T).argmax(1).eq(target[rest]).float().mean().item())
    return float(np.mean(scores))


def unseen_drawings(count: int, size: int, seed: int) -> tuple[Tensor, tuple[Scene, ...]]:
    """Drawings (count, 3, size, size) of pairs of shape and colour kept from the pre-training."""
    scenes, images = [], []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        scene = drawings.sample(rng, unseen=True)
        scenes.append(scene)
        images.append(np.asarray(drawings.render(scene, size, rng)).transpose(2, 0, 1))
    return torch.from_numpy(np.stack(images)), tuple(scenes)


def attributes(
    model: torch.nn.Module, tokenizer: Tokenizer, features: Tensor, scenes: Sequence[Scene]
) -> dict[str, float]:
    """Zero-shot accuracy on drawings: the shape, the colour given the shape, and the pair.

    The pair is chosen among all pairs of shape and colour, those of the pre-training too.
    """
    colours = sorted({s.colour for s in scenes})
    pairs = [(s, c) for s in SHAPES for c in colours]
    said = embed_text(model, tokenizer, [f"{article(c)} {s}" for s, c in pairs])
    scores = features @ said.T
    pair = [pairs[int(i)] for i in scores.argmax(1)]
    by_shape = scores.view(len(scenes), len(SHAPES), len(colours))
    given = [
        colours[int(by_shape[i, SHAPES.index(s.shape)].argmax())] for i, s in enumerate(scenes)
    ]
    return {
        "shape": zero_shot(model, tokenizer, features, [s.shape for s in scenes], SHAPES),
        "colour": _share(given, [s.colour for s in scenes]),
        "shape and colour": _share(pair, [(s.shape, s.colour) for s in scenes]),
    }


def _share(guessed: Sequence[object], right: Sequence[object]) -> float:
    return float(np.mean([g == r for g, r in zip(guessed, right, strict=True)]))


def demo_set(each: int, size: int, first_seed: int = 0) -> tuple[Tensor, tuple[str, ...]]:
    """`each` drawings of every demo class and of the extra one, and their labels.

    They are drawn as large as the demo serves them and resized as its requests are.
    """
    names = (*drawings.DEMO_CLASSES, drawings.EXTRA_CLASS)
    labels = tuple(name for name in names for _ in range(each))
    images = np.stack(
        [np.asarray(drawings.demo_image(n, first_seed + k)) for n in names for k in range(each)]
    )
    return torch.from_numpy(resize(images, size)), labels
