"""The k largest of many numbers a query, without sorting them all."""

from __future__ import annotations

import torch
from torch import Tensor

GROUP = 32
"""Rows whose largest number stands for them: one pass over all, then a choice among few."""


def nearest(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each query, largest first: values and rows (B, k); all N where k > N.

    Exact: the k largest lie in the k groups with the largest maxima, since each group that was
    left out has as many better ones before it. Which of several equal ones come first, or at all,
    is left open.

    Args:
        similarity: (B, N), quickest where the numbers of one row, for all queries, lie together.
        k: how many, from 0.
    """
    count = similarity.shape[1]
    k = min(k, count)
    whole = count // GROUP
    if whole <= 2 * k:
        top = similarity.topk(k, dim=1)
        return top.values, top.indices
    by_row = similarity.T
    groups = by_row[: whole * GROUP].view(whole, GROUP, -1)
    chosen = groups.amax(1).topk(k, dim=0, sorted=False).indices
    inside = torch.arange(GROUP, device=similarity.device)
    rows = (chosen.T[:, :, None] * GROUP + inside).flatten(1)
    # The rows after the last whole group take part as they are.
    rest = torch.arange(whole * GROUP, count, device=similarity.device).expand(len(rows), -1)
    rows = torch.cat([rows, rest], dim=1)
    top = similarity.gather(1, rows).topk(k, dim=1)
    return top.values, rows.gather(1, top.indices)
