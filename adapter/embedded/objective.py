"""The three terms of the pre-training's loss."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F


def truth(shown: Tensor, stated: Tensor) -> Tensor:
    """(B, C) float matrix, 1 where caption j states only what image i shows.

    `shown` (B, V) and `stated` (C, V) are indicator rows over one vocabulary of facts.
    """
    claims = stated.float()
    return (shown.float() @ claims.T == claims.sum(1)).float()


def contrastive(image: Tensor, text: Tensor, matches: Tensor, scale: Tensor) -> Tensor:
    """CLIP's symmetric cross-entropy with several right answers in a row or column.

    `image` (B, D) and `text` (C, D) of unit norm, `matches` (B, C) of zeros and ones with a one
    in each row and column. Each side's target spreads evenly over its matches, so that a caption
    which also holds for another image of the batch does not push that image away.
    """
    logits = scale * image @ text.T
    rows = matches / matches.sum(1, keepdim=True)
    columns = matches / matches.sum(0, keepdim=True)
    to_text = -(rows * logits.log_softmax(1)).sum(1).mean()
    to_image = -(columns * logits.log_softmax(0)).sum(0).mean()
    return (to_text + to_image) / 2


def naming(
    image: Tensor, single: Tensor, shown: Tensor, columns: Mapping[str, list[int]], scale: Tensor
) -> dict[str, Tensor]:
    """For each attribute the cross-entropy of choosing an image's value among all values.

    `image` (B, D) and `single` (V, D), the captions of single facts, of unit norm; `shown` (B, V)
    indicators. Images without the attribute have no part in its loss, and an attribute that none
    of them has is left out.
    """
    logits, losses = scale * image @ single.T, {}
    for attribute, facts in columns.items():
        has = shown[:, facts].bool().any(1)
        if has.any():
            right = shown[has][:, facts].float().argmax(1)
            losses[attribute] = F.cross_entropy(logits[has][:, facts], right)
    return losses


def agreement(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """NT-Xent (Chen et al. 2020, eq. 1) of two views (B, D) each, of unit norm."""
    n = len(first)
    both = torch.cat([first, second])
    logits = both @ both.T / temperature
    logits.fill_diagonal_(float("-inf"))
    partner = torch.arange(2 * n, device=first.device).roll(n)
    return F.cross_entropy(logits, partner)
