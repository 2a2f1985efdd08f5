"""Fused logits in float64 NumPy, by loops over shots, from the formulas alone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray

from adapter.fit import Fit
from adapter.gaussian import RIDGES
from adapter.learned import Learned
from adapter.networks import Networks
from adapter.support import SupportSet
from tests.adapter.support_sets import random_support

Array = NDArray[np.float64]


def doubles(tensor: torch.Tensor) -> Array:
    array: Array = tensor.detach().cpu().double().numpy()
    return array


@st.composite
def young_caches(draw: st.DrawFn) -> SupportSet:
    """1 to 300 shots in float64: classes of any size and none, equal pictures, shared captions."""
    counts = draw(st.lists(st.integers(0, 30), min_size=1, max_size=10).filter(any))
    seed = draw(st.integers(0, 10_000))
    support = random_support(counts, seed=seed)
    if draw(st.booleans()):  # the same picture in one class, and in its neighbour
        support = replace(support, keys=support.keys[torch.arange(len(support.keys)) // 3])
    if draw(st.booleans()):  # captions, shared within classes and across them
        generator = torch.Generator().manual_seed(seed)
        texts = support.classifier[torch.randperm(support.class_count, generator=generator)]
        rows = torch.randint(len(texts), (len(support.keys),), generator=generator)
        support = replace(support, texts=texts, text_rows=rows)
    return support


def in_float32(support: SupportSet) -> SupportSet:
    """The same, rounded."""
    return replace(
        support,
        classifier=support.classifier.float(),
        keys=support.keys.float(),
        texts=support.texts.float(),
        views=None if support.views is None else support.views.float(),
    )


def shot_ids(support: SupportSet) -> list[str]:
    """A name for each shot."""
    return [f"shot {row}" for row in range(len(support.keys))]


def moved_networks(support: SupportSet, seed: int = 0) -> Networks:
    """Networks in float64 that brought every kind of residual along, and a whitening."""
    width = support.keys.shape[1]
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return 0.1 * torch.randn(*shape, generator=generator)

    root = torch.eye(width) + noise(width, width)
    learned = Learned(
        whitening=root @ root.T,
        class_residuals={support.labels[0]: noise(width), "a class of another cache": noise(width)},
        shot_residuals={"shot 0": noise(width), "shot 7": noise(width)},
        low_rank=(noise(width, 3), noise(3, width)),
    )
    networks = replace(Networks.initial(width, 5, seed=seed), learned=learned)
    networks.meta_net.double()
    networks.img2txt_net.double()
    return networks


def reference_keys(support: SupportSet, learned: Learned) -> Array:
    """(N, D): image keys with their residuals, one by one."""
    keys = doubles(support.keys).copy()
    for row, target in enumerate(support.targets.tolist()):
        plain = keys[row].copy()
        if learned.low_rank is not None:
            down, up = map(doubles, learned.low_rank)
            keys[row] += plain @ down @ up
        if support.labels[target] in learned.class_residuals:
            keys[row] += doubles(learned.class_residuals[support.labels[target]])
        if f"shot {row}" in learned.shot_residuals:
            keys[row] += doubles(learned.shot_residuals[f"shot {row}"])
    return keys


def unit(rows: Array) -> Array:
    norms: Array = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return norms


def reference_terms(
    support: SupportSet,
    networks: Networks,
    fit: Fit,
    features: torch.Tensor,
    fitted: SupportSet | None = None,
) -> dict[str, Array]:
    """Term name to (B, C); the covariance is of `fitted`, or else of the same shots."""
    f, names = doubles(features), doubles(support.classifier)
    counts = [support.targets.tolist().count(c) for c in range(support.class_count)]
    zero_shot = support.logit_scale * f @ names.T
    terms = {"zero_shot": zero_shot}
    if fit.method == "full":
        weights = np.array([fit.zero_shot_weight if count else 1.0 for count in counts])
        terms["zero_shot"] = (zero_shot - zero_shot.mean(1, keepdims=True)) * weights
        offsets = np.array([fit.offsets.get(label, 0.0) for label in support.labels])
        terms["class_offset"] = np.repeat(offsets[None], len(f), 0)
        precision = reference_precision(fitted or support, networks, fit)
        terms["gaussian"] = _gaussian(support, precision, fit, f, counts)
    image, text = reference_evidence(support, networks, fit, features)
    for query in range(len(f)):
        total = fit.image_weight + fit.text_weight
        ratio = fit.image_weight / total if total else 0.5
        if fit.gate:
            p = image[query] / max(image[query].sum(), 1e-300)
            r = text[query] / max(text[query].sum(), 1e-300)
            h = 0.5 * np.abs(p - r).sum()
            ratio = min(max(ratio, 1e-6), 1 - 1e-6)
            logit = math.log(ratio / (1 - ratio)) + fit.gate * (h - 0.5)
            ratio = 1 / (1 + math.exp(-logit))
        image[query] *= total * ratio
        text[query] *= total * (1 - ratio)
    return {**terms, "image_cache": image, "text_cache": text}


def reference_evidence(
    support: SupportSet, networks: Networks, fit: Fit, features: torch.Tensor
) -> tuple[Array, Array]:
    """(B, C) each: of the image cache, and of the text cache."""
    f, targets = doubles(features), support.targets.tolist()
    counts = [targets.count(c) for c in range(support.class_count)]
    mean = len(targets) / max(1, sum(count > 0 for count in counts))
    keys = reference_keys(support, networks.learned)
    meta, img2txt = (
        doubles(net.projection.weight) for net in (networks.meta_net, networks.img2txt_net)
    )
    text_keys, mapped = unit(doubles(support.texts) @ meta.T), unit(f @ img2txt.T)
    image, text = np.zeros((2, len(f), len(counts)))
    for query in range(len(f)):
        for shot, target in enumerate(targets):
            balance = mean / counts[target] if fit.balance == "balanced" else 1.0
            near = f[query] @ keys[shot]
            close = mapped[query] @ text_keys[int(support.text_rows[shot])]
            image[query, target] += balance * math.exp(-fit.image_sharpness * (1 - near))
            text[query, target] += balance * math.exp(-fit.text_sharpness * (1 - close))
    return image, text


def reference_precision(support: SupportSet, networks: Networks, fit: Fit) -> Array:
    """(D, D): of the Gaussian term; zero where that is off."""
    keys, targets = doubles(support.keys), support.targets.tolist()
    width = keys.shape[1]
    if fit.gaussian_weight == 0 or not targets:
        return np.zeros((width, width))
    if not fit.gaussian_ridges:
        return np.eye(width) / _spread(keys, targets)
    precision = _precision(keys, targets, fit.gaussian_ridges)
    whitening = networks.learned.whitening
    if whitening is None or not fit.whitened_ridges:
        return precision
    root = doubles(whitening)
    found: Array = precision + root @ _precision(keys @ root, targets, fit.whitened_ridges) @ root.T
    return found


def _gaussian(
    support: SupportSet, precision: Array, fit: Fit, f: Array, counts: list[int]
) -> Array:
    keys, targets = doubles(support.keys), support.targets.tolist()
    found = np.zeros((len(f), len(counts)))
    if not precision.any():
        return found
    for c, count in enumerate(counts):
        if count:
            away = f - keys[np.array(targets) == c].mean(0)
            half = 0.5 * np.einsum("bd,de,be->b", away, precision, away)
            found[:, c] = fit.gaussian_weight * (fit.gaussian_origin - half)
    return found


def _spread(keys: Array, targets: list[int]) -> float:
    """Standard deviation of the cosines between classes; at least that of random directions."""
    classes, floor = np.array(targets), 1 / math.sqrt(keys.shape[1])
    cosines = (keys @ keys.T)[classes[:, None] != classes[None]]
    return max(float(cosines.std()), floor) if len(cosines) else floor


def _precision(keys: Array, targets: list[int], weights: list[float]) -> Array:
    width = keys.shape[1]
    means = {c: keys[np.array(targets) == c].mean(0) for c in set(targets)}
    scatter = np.zeros((width, width))
    for key, target in zip(keys, targets, strict=True):
        scatter += np.outer(key - means[target], key - means[target])
    precision = np.zeros((width, width))
    for ridge, weight in zip(RIDGES, weights, strict=False):
        shrunken = scatter + ridge * np.trace(scatter) / width * np.eye(width)
        precision += weight * len(keys) * np.linalg.inv(shrunken)
    return precision
