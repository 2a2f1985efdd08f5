"""The Gaussian term: class means under one shared, shrunken covariance, in closed form.

Cosine treats all directions of the embedding alike; the inverse of the within-class covariance
whitens away those in which the shots of one class differ anyway. (Linear discriminant analysis;
for CLIP: Wang et al., "A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation", 2024.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adapter.support import SupportSet

RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Shrinkage candidates, as multiples of the scatter's mean eigenvalue."""

PART = 8192
"""Keys whose scatter is summed at once."""


@dataclass(frozen=True)
class Spectrum:
    """The within-class scatter of a support set, diagonal in its own basis.

    Attributes:
        basis: (D, D) orthonormal columns U.
        eigenvalues: (D,) of the scatter, ascending, none negative.
        samples: N, the shots that it was summed over.
    """

    basis: Tensor
    eigenvalues: Tensor
    samples: int

    @classmethod
    def of(cls, support: SupportSet) -> Spectrum:
        """Sum (f - mu_c)(f - mu_c)^T over all shots, and decompose it."""
        width = support.keys.shape[1]
        scatter = support.keys.new_zeros(width, width)
        for residuals in _residuals(support):
            scatter.addmm_(residuals.T, residuals)
        eigenvalues, basis = torch.linalg.eigh(scatter)
        return cls(basis, eigenvalues.clamp(min=0), len(support.keys))

    @property
    def degenerate(self) -> bool:
        """Whether no class has two different shots, so that there is no scatter."""
        return _is_rounding(float(self.eigenvalues.sum()), self.samples)

    def inverse(self, ridge: float) -> Tensor:
        """(D,): diagonal of (scatter + ridge * tr(scatter)/D * I)^-1 in this basis."""
        shrunken: Tensor = self.eigenvalues + ridge * self.eigenvalues.mean()
        return shrunken.reciprocal()

    def precision(self, weights: Sequence[float]) -> Tensor:
        """(D, D): sum_r w_r N (scatter + ridge_r * tr(scatter)/D * I)^-1, symmetric.

        Args:
            weights: one for each of `RIDGES`, none negative.
        """
        inverses = torch.stack([self.inverse(ridge) for ridge in RIDGES])
        mixed = self.samples * (inverses.new_tensor(weights) @ inverses)
        return (self.basis * mixed) @ self.basis.T


def has_scatter(support: SupportSet) -> bool:
    """Whether a class has two different shots; without, there is no covariance but the identity."""
    squares = sum(float(residuals.square_().sum()) for residuals in _residuals(support))
    return not _is_rounding(squares, len(support.keys))


def whitened(support: SupportSet, whitening: Tensor) -> SupportSet:
    """`support` with its keys as f W, not of unit norm any more, for the Gaussian term alone."""
    return replace(support, keys=support.keys @ whitening, views=None)


def precision_of(
    support: SupportSet, plain: Sequence[float], learned: Sequence[float], whitening: Tensor | None
) -> Tensor:
    """(D, D): the precision of the Gaussian term; the identity's where all weights are empty.

    Args:
        support: the shots.
        plain: weights of `RIDGES` on the scatter as it is.
        learned: likewise after the whitening.
        whitening: (D, D), see `adapter.whitening`; None leaves `learned` without effect.
    """
    if not plain:
        return identity_precision(support)
    precision = Spectrum.of(support).precision(plain)
    if whitening is None or not learned:
        return precision
    inner = Spectrum.of(whitened(support, whitening)).precision(learned)
    return precision + whitening @ inner @ whitening.T


def strangers(support: SupportSet) -> tuple[float, float] | None:
    """Mean and standard deviation of the cosines between keys of different classes.

    None for a single class. Never tighter than 1/sqrt(D), as of random directions: two shots of
    two classes have one cosine, and no spread.
    """
    width = support.keys.shape[1]
    different = support.targets[:, None] != support.targets[None, :]
    cosines = (support.keys @ support.keys.T)[different]
    if len(cosines) == 0:
        return None
    return float(cosines.mean()), max(float(cosines.std(correction=0)), width**-0.5)


def identity_precision(support: SupportSet) -> Tensor:
    """(D, D): the identity over the spread of `strangers`, for want of a covariance."""
    width = support.keys.shape[1]
    known = strangers(support)
    spread = width**-0.5 if known is None else known[1]
    return torch.eye(width, dtype=support.keys.dtype, device=support.keys.device) / spread


@dataclass(frozen=True)
class Distances:
    """Half squared Mahalanobis distances to class means, prepared for any number of queries.

    Attributes:
        precision: (D, D), P.
        weights: (C, D), mu_c P.
        bias: (C,), mu_c P mu_c / 2.
    """

    precision: Tensor
    weights: Tensor
    bias: Tensor

    @classmethod
    def to(cls, means: Tensor, precision: Tensor) -> Distances:
        """Prepare those to `means` (C, D) under a symmetric `precision` (D, D)."""
        weights = means @ precision
        return cls(precision, weights, 0.5 * (weights * means).sum(1))

    def of(self, features: Tensor) -> Tensor:
        """(B, C): (f - mu_c) P (f - mu_c) / 2, for `features` (B, D).

        Minus this, up to a constant, is log N(f; mu_c, P^-1).
        """
        # This way round, since a product with many rows on its left is quicker.
        columns = features.T
        own = 0.5 * ((self.precision @ columns) * columns).sum(0)
        return torch.addmm(self.bias[:, None], self.weights, columns, alpha=-1).add_(own).T


def leave_one_out(
    support: SupportSet,
    spectrum: Spectrum,
    ridges: Sequence[float],
    *,
    rows: Tensor | None = None,
) -> Tensor:
    """(S, R, C): shots' half distances, each left out itself, exactly, without refits, per ridge.

    Leaving shot i out of class y moves that class's mean by -d/(K-1), d = f_i - mu_y, and takes
    K/(K-1) d d^T off the scatter: a rank-one downdate of the inverse (Sherman-Morrison). The
    ridge stays at its value for the whole set. A class without (other) shots has the mean zero:
    its column, or row, is for the caller to leave out.

    Args:
        support: the shots.
        spectrum: of the same shots.
        ridges: S values, as multiples of the scatter's mean eigenvalue.
        rows: (R,) the shots to score; all N if None.
    """
    keys, own = support.keys, support.targets
    if rows is not None:
        keys, own = keys[rows], own[rows]
    # What all keys share would only be subtracted from itself.
    centre = support.keys.mean(0)
    x, means = (keys - centre) @ spectrum.basis, (support.means - centre) @ spectrum.basis
    count = support.counts[own].to(x.dtype)
    others = (count - 1).clamp(min=1)

    d = x - means[own]
    inverses = torch.stack([spectrum.inverse(ridge) for ridge in ridges])
    xqx, xqd, dqd = (product @ inverses.T for product in (x * x, x * d, d * d))
    found = x.new_empty(len(ridges), len(x), len(means))
    for step, inverse in enumerate(inverses):
        by_key, by_mean = x @ (means * inverse).T, means @ (means * inverse).T
        kappa = torch.where(count > 1, 1 / (others / count - dqd[:, step]), 0.0)
        # x - mu_c under the full inverse, plus kappa times its square along q d.
        along = (xqd[:, step, None] + by_mean[own]).sub_(by_key)
        distances = (xqx[:, step, None] + by_mean.diagonal()).sub_(by_key, alpha=2)
        distances.addcmul_(along.square_(), kappa[:, None])
        # The own class once more: without the shot, f - mean is K/(K-1) d.
        left_out = dqd[:, step] + kappa * dqd[:, step].square()
        distances.scatter_(1, own[:, None], ((count / others).square() * left_out)[:, None])
        torch.mul(distances, 0.5 * (spectrum.samples - 1), out=found[step])
    return found


def _residuals(support: SupportSet) -> Iterator[Tensor]:
    """(n, D): what keys are away from their class's mean, by parts: all would be a second cache."""
    for start in range(0, len(support.keys), PART):
        part = slice(start, start + PART)
        yield support.keys[part] - support.means[support.targets[part]]


def _is_rounding(squares: float, samples: int) -> bool:
    # Unit vectors in float32: sums of squares below this are rounding.
    return squares < 1e-9 * max(samples, 1)
