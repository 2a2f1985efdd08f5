"""The Gaussian term against refits, one shot left out at a time, in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adapter.gaussian import (
    Spectrum,
    background,
    identity_precision,
    leave_one_out,
    log_ratio_weights,
)
from tests.adapter.support_sets import random_support


def log_density(x: np.ndarray, mean: np.ndarray, precision: np.ndarray) -> float:
    """log N(x; mean, precision^-1) without its constant."""
    return float(-0.5 * (x - mean) @ precision @ (x - mean))


@pytest.mark.parametrize("counts", [[2, 2], [3, 5, 4], [4, 0, 7, 2], [2, 1, 6]])
@pytest.mark.parametrize("ridge", [0.03, 1.0])
def test_leave_one_out_equals_refitting_without_the_shot(counts: list[int], ridge: float) -> None:
    support = random_support(counts)
    spectrum = Spectrum.of(support)
    got = leave_one_out(support, spectrum, ridge).numpy()

    keys, targets = support.keys.numpy(), support.targets.numpy()
    width, total = keys.shape[1], len(keys)
    shrink = ridge * float(spectrum.eigenvalues.mean()) * np.eye(width)
    origin = background(support).numpy()
    for i in range(total):
        if counts[targets[i]] < 2:
            continue
        rest = np.arange(total) != i
        means = {
            c: keys[rest & (targets == c)].mean(0) for c in range(len(counts)) if counts[c] > 0
        }
        scatter = sum(
            np.outer(keys[j] - means[targets[j]], keys[j] - means[targets[j]])
            for j in np.flatnonzero(rest)
        )
        precision = (total - 1) * np.linalg.inv(scatter + shrink)
        for c in range(len(counts)):
            expected = 0.0
            if counts[c] > 0:
                expected = log_density(keys[i], means[c], precision) - log_density(
                    keys[i], origin, precision
                )
            assert got[i, c] == pytest.approx(expected, rel=1e-8, abs=1e-8)


def test_precision_is_the_inverse_of_the_shrunken_covariance() -> None:
    support = random_support([5, 6])
    spectrum = Spectrum.of(support)
    residuals = support.keys - support.means[support.targets]
    scatter = residuals.T @ residuals
    shrunken = (scatter + 0.3 * scatter.trace() / 12 * torch.eye(12)) / 11
    torch.testing.assert_close(spectrum.precision(0.3) @ shrunken, torch.eye(12).double())


def test_log_ratio_is_the_difference_of_two_log_densities() -> None:
    support = random_support([4, 4, 4])
    precision = Spectrum.of(support).precision(0.1)
    origin = background(support)
    weights, bias = log_ratio_weights(support.means, origin, precision)
    query = support.keys[0]
    for c in range(3):
        expected = log_density(
            query.numpy(), support.means[c].numpy(), precision.numpy()
        ) - log_density(query.numpy(), origin.numpy(), precision.numpy())
        assert float(weights[c] @ query + bias[c]) == pytest.approx(expected)


def test_identity_precision_gives_unit_spread_between_classes() -> None:
    support = random_support([1] * 30)
    scale = identity_precision(support)[0, 0]
    cosines = support.keys @ support.keys.T
    apart = cosines[~torch.eye(30, dtype=torch.bool)]
    assert float((scale * apart).std()) == pytest.approx(1.0, rel=1e-6)


def test_one_shot_in_all_leaves_a_finite_precision() -> None:
    assert identity_precision(random_support([1])).isfinite().all()


def test_identical_shots_have_no_scatter() -> None:
    support = random_support([1, 1])
    assert Spectrum.of(support).degenerate
    assert not Spectrum.of(random_support([2, 2])).degenerate
