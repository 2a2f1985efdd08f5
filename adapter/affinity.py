"""The forward mathematics of the adapter, as pure functions of tensors.

Any floating type, any device. Shapes: B queries, N shots, C classes, D embedding width.
Source: XMAdapter (arXiv 2404.12588); its image half is Tip-Adapter's (arXiv 2111.03930, eq. 3).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Balance = Literal["balanced", "sum"]
"""`balanced`: independent of how many shots a class has. `sum`: the paper's plain sum."""

CACHED = 2**20
"""Numbers at once: 4 MB in float32, so that all steps find them in the processor's cache."""

ON_GPU = 2**26
"""Likewise on a GPU, where few large steps are quick, and memory is all that bounds them."""


def affinity(similarity: Tensor, sharpness: float) -> Tensor:
    """A = exp(-beta * (1 - similarity)): 1 for an equal key, falling with the cosine.

    Args:
        similarity: cosines, of any shape.
        sharpness: beta, not negative.
    """
    return torch.exp(sharpness * (similarity - 1))


def fuse(image_affinity: Tensor, text_affinity: Tensor, image_ratio: float) -> Tensor:
    """A = gamma * A_I + (1 - gamma) * A_T, of any one shape; gamma is `image_ratio`."""
    return image_ratio * image_affinity + (1 - image_ratio) * text_affinity


def balance_weights(counts: Tensor) -> Tensor:
    """(C,) float64: mean(K) / K_c, over the classes that have shots; 0 for those without.

    With these, evidence equals the paper's plain sum where classes are balanced, and no class
    wins by its count where they are not.

    Args:
        counts: (C,), shots of each class, K_c.
    """
    taught = counts > 0
    mean = counts.sum(dtype=torch.float64) / taught.sum().clamp(min=1)
    return torch.where(taught, mean / counts.clamp(min=1), 0.0)


def class_evidence(
    affinities: Tensor, targets: Tensor, class_count: int, balance: Balance = "balanced"
) -> Tensor:
    """(B, C): E_c, the sum of the affinities of each class's shots, balanced or plain.

    Args:
        affinities: (B, N).
        targets: (N,) int64, each shot's class; or (B, N), each query's own shots, for a plain sum.
        class_count: C; classes without shots have evidence 0.
        balance: see `Balance`.
    """
    evidence = affinities.new_zeros(len(affinities), class_count)
    if targets.ndim == 2:
        evidence.scatter_add_(1, targets, affinities)
    else:
        evidence.index_add_(1, targets, affinities)
    if balance == "sum":
        return evidence
    counts = torch.bincount(targets, minlength=class_count)
    return evidence * balance_weights(counts).to(evidence.dtype)


def summed_affinities(
    similarity: Tensor, sharpness: float, targets: Tensor, class_count: int
) -> Tensor:
    """(B, C): the sum of the affinities of each class's shots, without making them all at once.

    Not for training: no gradient goes through it. Summed in float32 at least.

    Args:
        similarity: (B, N) cosines, quickest where those of one shot, for all queries, lie together.
        sharpness: beta.
        targets: (N,) int64, each shot's class.
        class_count: C; classes without shots have 0.
    """
    by_shot = similarity.T
    queries = max(len(similarity), 1)
    block = max((ON_GPU if similarity.is_cuda else CACHED) // queries, 1)
    precise = torch.promote_types(similarity.dtype, torch.float32)
    sums = similarity.new_zeros(class_count, len(similarity), dtype=precise)
    below = sums.new_tensor(-sharpness)
    for start in range(0, len(by_shot), block):
        near = by_shot[start : start + block]
        # One pass less than `affinity`, and into memory that the cache still holds.
        affinities = torch.add(below, near.to(precise), alpha=sharpness).exp_()
        sums.index_add_(0, targets[start : start + block], affinities)
    return sums.T.to(similarity.dtype)


def zero_shot_logits(features: Tensor, classifier: Tensor, logit_scale: float) -> Tensor:
    """(B, C): s * f W^T, for `features` (B, D) and `classifier` (C, D), both of unit norm."""
    # This way round, since a product with many rows on its left is quicker.
    return logit_scale * (classifier @ features.T).T


def centred(logits: Tensor) -> Tensor:
    """(B, C): `logits` less their mean over the classes, which no probability depends on.

    So that classes whose logits are weighed differently still compete around the same zero.
    """
    return logits - logits.mean(1, keepdim=True)
