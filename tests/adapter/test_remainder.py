"""Evidence of shots that were not found, against all shots one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from adapter.affinity import affinity
from adapter.fit import Fit
from adapter.head import Head, Hits
from adapter.remainder import count_by_class, evidence_of_the_rest
from tests.adapter.support_sets import random_support


def estimated(
    similarity: Tensor, targets: Tensor, k: int, sharpness: float
) -> tuple[Tensor, Tensor]:
    """Found and estimated evidence (B, C) from the k nearest, and the whole of it."""
    classes = int(targets.max()) + 1
    counts = torch.bincount(targets)
    zeros = torch.zeros(len(similarity), classes, dtype=similarity.dtype)
    sums = zeros.index_add(1, targets, similarity)
    near, rows = similarity.topk(k, dim=1)
    found = zeros.scatter_add(1, targets[rows], affinity(near, sharpness))
    rest = evidence_of_the_rest(near, targets[rows], sums, counts, sharpness)
    return found + rest, zeros.index_add(1, targets, affinity(similarity, sharpness))


def similarities() -> tuple[Tensor, Tensor]:
    """(4, 60) cosines of three classes' shots."""
    support = random_support([30, 20, 10])
    queries = random_support([2, 1, 1], seed=5).keys
    return queries @ support.keys.T, support.targets


def test_where_a_class_is_of_one_cosine_the_rest_is_exact() -> None:
    targets = torch.tensor([0] * 5 + [1] * 4)
    similarity = torch.tensor([[0.9] * 5 + [0.3] * 4], dtype=torch.float64)
    found, whole = estimated(similarity, targets, 3, 20.0)
    torch.testing.assert_close(found, whole)


@pytest.mark.parametrize("sharpness", [0.5, 5.5, 40.0])
@pytest.mark.parametrize("k", [1, 10, 60])
def test_the_rest_is_never_too_much_and_better_than_nothing(k: int, sharpness: float) -> None:
    similarity, targets = similarities()
    found, whole = estimated(similarity, targets, k, sharpness)
    assert (found <= whole * (1 + 1e-9)).all()
    near, rows = similarity.topk(k, dim=1)
    alone = torch.zeros_like(whole).scatter_add(1, targets[rows], affinity(near, sharpness))
    assert (found >= alone).all()
    if sharpness == 0.5:
        torch.testing.assert_close(found, whole, rtol=0.05, atol=0)


def test_rounding_places_no_shot_nearer_than_the_last_one_found() -> None:
    near, classes = torch.tensor([[0.5, 0.4]]), torch.tensor([[0, 0]])
    rest = evidence_of_the_rest(near, classes, torch.tensor([[9.0]]), torch.tensor([3]), 2.0)
    torch.testing.assert_close(rest, affinity(torch.tensor([[0.4]]), 2.0))


def test_hits_are_counted_by_class() -> None:
    counts = count_by_class(torch.tensor([[0, 2, 2], [1, 1, 1]]), 4, torch.zeros(1))
    assert counts.tolist() == [[1, 0, 2, 0], [0, 3, 0, 0]]


def test_a_head_with_few_hits_answers_nearly_as_with_all() -> None:
    """A tenth of the shots found: the classes' order is that of all shots, as it is not without."""
    support = random_support([60, 50, 40, 30])
    queries = random_support([20, 20, 20, 20], seed=7).keys
    fit = Fit(method="paper", image_sharpness=3.0, image_weight=20.0, text_weight=0.0)
    head = Head.build(replace(support, logit_scale=0.0), fit)
    similarity, texts = queries @ support.keys.T, Hits(queries @ support.texts.T)
    near, rows = similarity.topk(18, dim=1)
    exact = head.score(queries, Hits(similarity), texts)
    found = head.score(queries, Hits(near, rows), texts)
    off = (found.logits - exact.logits).abs().amax(1)
    assert (off <= found.tail).all()
    assert float((off / exact.logits.amax(1)).max()) < 0.2
    assert (found.logits.argmax(1) == exact.logits.argmax(1)).double().mean() > 0.9
