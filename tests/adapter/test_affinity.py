"""The forward mathematics, against loops over single numbers in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from adapter.affinity import (
    Balance,
    affinity,
    balance_weights,
    class_evidence,
    fuse,
)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Similarities of B queries to N shots of C classes, drawn from a seed."""

    similarity: Array
    targets: NDArray[np.int64]
    class_count: int

    @property
    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.similarity), torch.from_numpy(self.targets)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """1 to 300 shots, unequal counts, empty classes, and ties from a coarse grid."""
    counts = draw(st.lists(st.integers(0, 30), min_size=1, max_size=10).filter(any))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    targets = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    similarity = rng.uniform(-1, 1, (draw(st.integers(1, 3)), len(targets)))
    if draw(st.booleans()):
        similarity = np.round(similarity, 1)
    return Case(similarity, targets, len(counts))


def reference_evidence(affinities: Array, case: Case, balance: Balance) -> Array:
    """E_c, one addition at a time."""
    counts = [0] * case.class_count
    for target in case.targets:
        counts[target] += 1
    mean = sum(counts) / sum(count > 0 for count in counts)
    evidence = np.zeros((len(affinities), case.class_count))
    for query in range(len(affinities)):
        for shot, target in enumerate(case.targets):
            weight = mean / counts[target] if balance == "balanced" else 1.0
            evidence[query, target] += weight * affinities[query, shot]
    return evidence


@given(cases(), st.floats(0, 60))
def test_affinity_is_tip_adapters_exponential(case: Case, sharpness: float) -> None:
    ours = affinity(torch.from_numpy(case.similarity), sharpness).numpy()
    theirs = [[math.exp(-sharpness * (1 - s)) for s in row] for row in case.similarity.tolist()]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_affinity_overflows_in_no_type(dtype: torch.dtype) -> None:
    values = affinity(torch.tensor([-1.0, 0.0, 1.0], dtype=dtype), 40.0)
    assert values.dtype == dtype
    assert values.isfinite().all()
    assert values[2] == 1


@settings(deadline=None)
@given(cases(), st.sampled_from(["balanced", "sum"]), st.sampled_from([2.0, 5.5, 40.0]))
def test_evidence_equals_the_loops(case: Case, balance: Balance, sharpness: float) -> None:
    similarity, targets = case.tensors
    affinities = affinity(similarity, sharpness)
    ours = class_evidence(affinities, targets, case.class_count, balance)
    theirs = reference_evidence(np.exp(-sharpness * (1 - case.similarity)), case, balance)
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-10)
    # float32 adds up to 300 numbers: 300 roundings of 2^-24 at worst.
    coarse = class_evidence(affinities.float(), targets, case.class_count, balance)
    assert coarse.dtype == torch.float32
    np.testing.assert_allclose(coarse.numpy(), theirs, rtol=3e-5)


@settings(deadline=None)
@given(cases(), st.sampled_from(["balanced", "sum"]), st.randoms(use_true_random=False))
def test_the_order_of_the_shots_does_not_matter(case: Case, balance: Balance, rng: Any) -> None:
    similarity, targets = case.tensors
    order = list(range(len(targets)))
    rng.shuffle(order)
    torch.testing.assert_close(
        class_evidence(similarity[:, order], targets[order], case.class_count, balance),
        class_evidence(similarity, targets, case.class_count, balance),
    )


@settings(deadline=None)
@given(cases())
def test_balanced_classes_gain_nothing_by_counting_their_shots_twice(case: Case) -> None:
    similarity, targets = case.tensors
    first = targets == targets[0]
    doubled = class_evidence(
        torch.cat([similarity, similarity[:, first]], dim=1),
        torch.cat([targets, targets[first]]),
        case.class_count,
    )
    before = class_evidence(similarity, targets, case.class_count)
    # All evidence is in units of the mean count, which has grown.
    growth = (len(targets) + int(first.sum())) / len(targets)
    torch.testing.assert_close(doubled, before * growth)


def test_balanced_equals_the_plain_sum_where_counts_are_equal() -> None:
    targets = torch.tensor([0, 2, 0, 2])
    affinities = torch.rand(5, 4, dtype=torch.float64)
    plain = class_evidence(affinities, targets, 3, "sum")
    assert torch.equal(class_evidence(affinities, targets, 3), plain)
    assert torch.equal(plain[:, 1], torch.zeros(5, dtype=torch.float64))


def test_balance_weights_by_hand() -> None:
    # Mean of 1, 2 and 6 is 3; the class without shots does not count.
    weights = balance_weights(torch.tensor([1, 2, 0, 6]))
    assert weights.tolist() == [3.0, 1.5, 0.0, 0.5]
    assert balance_weights(torch.tensor([0, 0])).tolist() == [0.0, 0.0]
    assert balance_weights(torch.tensor([], dtype=torch.int64)).shape == (0,)


def test_evidence_without_any_shot_is_zero() -> None:
    evidence = class_evidence(torch.zeros(2, 0), torch.zeros(0, dtype=torch.int64), 3)
    assert torch.equal(evidence, torch.zeros(2, 3))


def test_fusing_mixes_in_proportion() -> None:
    image, text = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert fuse(image, text, 0.75).tolist() == [0.75, 0.25]
    assert torch.equal(fuse(image, text, 1.0), image)
    assert torch.equal(fuse(image, text, 0.0), text)
