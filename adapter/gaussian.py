"""The Gaussian term: class means under one shared, shrunken covariance, in closed form.

Cosine treats all directions of the embedding alike; the inverse of the within-class covariance
whitens away those in which the shots of one class differ anyway. (Linear discriminant analysis;
for CLIP: Wang et al., "A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation", 2024.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from adapter.support import SupportSet

RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Shrinkage candidates, as multiples of the scatter's mean eigenvalue."""


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
        residuals = support.keys - support.means[support.targets]
        eigenvalues, basis = torch.linalg.eigh(residuals.T @ residuals)
        return cls(basis, eigenvalues.clamp(min=0), len(residuals))

    @property
    def degenerate(self) -> bool:
        """Whether no class has two different shots, so that there is no scatter."""
        # Unit vectors in float32: sums of squares below this are rounding.
        return float(self.eigenvalues.sum()) < 1e-9 * max(self.samples, 1)

    def inverse(self, ridge: float) -> Tensor:
        """(D,): diagonal of (scatter + ridge * tr(scatter)/D * I)^-1 in this basis."""
        shrunken: Tensor = self.eigenvalues + ridge * self.eigenvalues.mean()
        return shrunken.reciprocal()

    def precision(self, ridge: float) -> Tensor:
        """(D, D): N (scatter + ridge * tr(scatter)/D * I)^-1, symmetric, positive definite."""
        return (self.basis * (self.samples * self.inverse(ridge))) @ self.basis.T


def identity_precision(support: SupportSet) -> Tensor:
    """(D, D): the identity, scaled so that the logits between different classes spread by one.

    For supports without two shots of any class, where no covariance can be estimated. The spread
    is the standard deviation of the cosines between keys of different classes.
    """
    width = support.keys.shape[1]
    identity = torch.eye(width, dtype=support.keys.dtype, device=support.keys.device)
    different = support.targets[:, None] != support.targets[None, :]
    cosines = (support.keys @ support.keys.T)[different]
    # Two pairs at least, counted from both sides, before a spread means anything.
    spread = float(cosines.std()) if len(cosines) > 2 else 0.0
    # Random unit vectors spread by 1/sqrt(D): nothing real is tighter than that.
    return identity / max(spread, width**-0.5)


def log_ratio_weights(means: Tensor, origin: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
    """Linear weights (C, D) and bias (C,) of log N(f; mu_c, P) - log N(f; origin, P).

    Args:
        means: (C, D).
        origin: (D,).
        precision: (D, D), symmetric.
    """
    shifted = means - origin
    weights = shifted @ precision
    return weights, -weights @ origin - 0.5 * (weights * shifted).sum(1)


def leave_one_out(support: SupportSet, spectrum: Spectrum, ridge: float) -> Tensor:
    """(N, C): each shot's Gaussian term with the shot itself left out, exactly, without refits.

    Leaving shot i out of class y moves that class's mean by -d/(K-1), d = f_i - mu_y, and takes
    K/(K-1) d d^T off the scatter: a rank-one downdate of the inverse (Sherman-Morrison). The
    ridge and the background's mean stay as they are for the whole set. In a class of one shot
    nothing is left: such a row is for the caller to drop.
    """
    inverse = spectrum.inverse(ridge)
    x = support.keys @ spectrum.basis
    # The background is one more class, which never loses a shot.
    means = torch.cat([support.means, background(support)[None]]) @ spectrum.basis
    own = support.targets
    count = support.counts[own].to(x.dtype)
    scale = 1 / (count - 1).clamp(min=1)

    d = x - means[own]
    qd = d * inverse
    dqd = (d * qd).sum(1)
    growth = count * scale
    kappa = torch.where(count > 1, growth / (1 - growth * dqd), 0.0)

    mqx = x @ (means * inverse).T
    mqd = qd @ means.T
    mqm = (means * inverse * means).sum(1)
    xqd = (x * qd).sum(1)
    logits = mqx + kappa[:, None] * mqd * xqd[:, None]
    logits -= 0.5 * (mqm + kappa[:, None] * mqd.square())

    # The own class once more, with its mean moved.
    mean = means[own] - d * scale[:, None]
    mean_qd = (mean * qd).sum(1)
    quadratic = (mean * inverse * mean).sum(1) + kappa * mean_qd.square()
    linear = (mean * inverse * x).sum(1) + kappa * mean_qd * xqd
    logits[torch.arange(len(x)), own] = linear - 0.5 * quadratic
    ratio = (logits[:, :-1] - logits[:, -1:]) * (spectrum.samples - 1)
    return torch.where(support.counts > 0, ratio, 0.0)


def background(support: SupportSet) -> Tensor:
    """(D,): the mean of a query that is of none of the taught classes.

    Each class's discriminant is taken against it, so that a class without shots, whose own is 0,
    competes on equal terms. Where every class has shots it cancels in the softmax.
    """
    taught = support.counts > 0
    return support.means[taught].mean(0)
