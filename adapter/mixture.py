"""The online mixture: the weights of all sources of evidence, by leave-one-out on the shots.

Nothing here is trained through a network, and nothing is chosen on data other than the shots
themselves: each shot is scored with itself removed from every source that holds it. The zero-shot
classifier holds none of them.

Where some classes have shots and others a name alone, the shots say nothing of how pictures of the
latter look. So each shot is scored once more with its whole class left out, and then belongs to any
of the classes without shots: that is what keeps the taught classes from taking everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.functional import cross_entropy

from adapter.affinity import centred, zero_shot_logits
from adapter.fit import Fit
from adapter.gaussian import RIDGES, Spectrum, leave_one_out
from adapter.networks import Networks
from adapter.selection import SHARPNESSES, Entries, leave_one_out_evidence, scorable_rows
from adapter.single_shot import fit_lone_class, fit_single_shots
from adapter.support import SupportSet

PRIOR_WEIGHTS = (0.7, 0.7, 0.3, 0.3)
"""Of zero-shot, Gaussian, image and text cache, each at its own best temperature."""
WEIGHT_RIDGE = 1.0
"""Strength of that prior, on the logarithm of a weight."""
OFFSET_RIDGE = 2.0
"""On the offset of a class."""
COMMON_RIDGE = 0.02
"""On the offset that the classes with shots have in common, against those without."""
MOST_LEFT_OUT = 3.0
"""A shot without its class counts as classes without shots per class with, and no more."""
TEMPERATURE_PRIOR = 0.05
"""Keeps a temperature finite where it alone separates the shots perfectly."""
MOST_CACHE_WEIGHT = 50.0
"""Where all affinities are tiny, nothing sensible is found by blowing them up."""
ITERATIONS = 100


@dataclass(frozen=True)
class Source:
    """One source of evidence about R labelled rows, at its best setting.

    Attributes:
        raw: (R, C), 0 for classes without shots.
        temperature: the factor under which it alone predicts the labels best.
        loss: its mean cross-entropy then, among the classes with shots.
        setting: the sharpness or ridge that it was computed with.
    """

    raw: Tensor
    temperature: float
    loss: float
    setting: float = 0.0


def calibrate(
    raw: Tensor,
    targets: Tensor,
    taught: Tensor,
    setting: float = 0.0,
    most: float = float("inf"),
) -> Source:
    """Find the factor t > 0 that minimises the cross-entropy of t * raw, over e^-7 to e^7.

    The range is relative to the spread of the values.

    Args:
        raw: (R, C).
        targets: (R,) int64.
        taught: (C,) bool, the classes that have shots: only these compete here.
        setting: handed on.
        most: the largest factor allowed.
    """
    raw = torch.where(taught, raw, 0.0)
    own_columns = taught.cumsum(0) - 1
    columns, targets = centred(raw[:, taught]), own_columns[targets]
    spread = float(columns.square().mean().sqrt()) or 1.0
    scaled = columns / spread
    own = scaled.gather(1, targets[:, None])[:, 0]

    def objective(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        factor = float(np.exp(point[0]))
        log_p = (factor * scaled).log_softmax(1)
        loss = -log_p.gather(1, targets[:, None]).sum()
        slope = factor * ((log_p.exp() * scaled).sum(1) - own).sum()
        prior = TEMPERATURE_PRIOR * point[0] ** 2
        return float(loss) + prior, np.array([float(slope) + 2 * TEMPERATURE_PRIOR * point[0]])

    highest = max(min(7.0, float(np.log(most * spread))), -7.0)
    start = np.array([min(0.0, highest)])
    best = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(-7.0 - 1e-9, highest)])
    temperature = float(np.exp(best.x[0])) / spread
    return Source(raw, temperature, float(cross_entropy(temperature * columns, targets)), setting)


def fit_mixture(support: SupportSet, networks: Networks) -> Fit:
    """Fit every number of the mixture to the shots.

    Args:
        support: the shots of all classes; a class may have none.
        networks: MetaNet and Img2TxtNet, on the support's device.

    Returns:
        A fit of method "full". Without any shot, CLIP's own zero-shot scores.
    """
    taught = support.counts > 0
    zero_shot = centred(zero_shot_logits(support.keys, support.classifier, support.logit_scale))
    if not bool(taught.any()):
        return Fit(method="full")
    if int(taught.sum()) == 1:
        return fit_lone_class(support)
    temperature = calibrate(zero_shot, support.targets, taught).temperature
    rows, spectrum = scorable_rows(support), Spectrum.of(support)
    if len(rows) == 0 or spectrum.degenerate:
        return fit_single_shots(support, temperature)

    targets = support.targets[rows]
    gaussian = _best(
        calibrate(-leave_one_out(support, spectrum, ridge)[rows], targets, taught, ridge)
        for ridge in RIDGES
    )
    # A shot at the median distance from the rest of its class has a Gaussian term of 0.
    origin = -float(gaussian.raw.gather(1, targets[:, None]).median())
    with torch.no_grad():
        texts = Entries.of_texts(support, networks)
        mapped = networks.img2txt_net(support.keys)
    image = _cache_source(support, support.keys, Entries.of_images(support), rows)
    text = _cache_source(support, mapped, texts, rows)

    temperatures = (temperature, gaussian.temperature, image.temperature, text.temperature)
    nearness = torch.where(taught, gaussian.raw + origin, 0.0)
    known = torch.where(taught, zero_shot[rows], 0.0)
    raw = torch.stack([known, nearness, image.raw, text.raw])
    logits = raw * raw.new_tensor(temperatures)[:, None, None]
    problem = Problem(logits, torch.where(taught, 0.0, zero_shot[rows]), targets, taught)
    weights, offsets = problem.solve()
    factors = [w * t for w, t in zip(weights.tolist(), temperatures, strict=True)]
    return Fit(
        method="full",
        image_sharpness=image.setting,
        text_sharpness=text.setting,
        zero_shot_weight=factors[0],
        gaussian_weight=factors[1],
        gaussian_ridge=gaussian.setting,
        gaussian_origin=origin,
        image_weight=factors[2],
        text_weight=factors[3],
        offsets={
            label: offset
            for label, offset, has_shots in zip(
                support.labels, offsets.tolist(), taught.tolist(), strict=True
            )
            if has_shots
        },
        shots=len(support.keys),
        accuracy=problem.accuracy(weights, offsets),
    )


@dataclass(frozen=True)
class Problem:
    """Find positive weights w (S,) and class offsets b (C,), from R rows left out of the sources.

    Minimises the summed cross-entropy of sum_s w_s logits_s + fixed + b, under a prior on log w
    around `PRIOR_WEIGHTS` and ridges on b, with L-BFGS.

    Attributes:
        logits: (S, R, C), each source at its own best temperature; 0 for classes without shots.
        fixed: (R, C), what no weight changes: the zero-shot logits of classes without shots.
        targets: (R,) int64.
        taught: (C,) bool, the classes with shots; only their offsets move from 0.
    """

    logits: Tensor
    fixed: Tensor
    targets: Tensor
    taught: Tensor

    @property
    def left_out_weight(self) -> float:
        """Of a row scored without its class: as if all classes were asked about equally often."""
        taught = int(self.taught.sum())
        return min((len(self.taught) - taught) / taught, MOST_LEFT_OUT)

    def fused(self, weights: Tensor, offsets: Tensor) -> Tensor:
        """(R, C)."""
        return torch.einsum("s,src->rc", weights, self.logits) + self.fixed + offsets

    def accuracy(self, weights: Tensor, offsets: Tensor) -> float:
        """Of the rows, each scored without itself, with all classes to choose from."""
        answers = self.fused(weights, offsets).argmax(1)
        return float((answers == self.targets).double().mean())

    def solve(self) -> tuple[Tensor, Tensor]:
        """The weights (S,) and offsets (C,)."""
        sources = len(self.logits)
        prior = np.log(PRIOR_WEIGHTS)
        start = np.concatenate([prior, np.zeros(1 + int(self.taught.sum()))])
        ridge = np.concatenate(
            [
                np.full(sources, WEIGHT_RIDGE),
                [COMMON_RIDGE],
                np.full(len(start) - sources - 1, OFFSET_RIDGE),
            ]
        )

        def objective(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights, offsets = self._unpack(point)
            loss, error = self._loss(self.fused(weights, offsets))
            slopes = torch.einsum("rc,src->s", error, self.logits) * weights
            each = error.sum(0)[self.taught]
            gradient = torch.cat([slopes, each.sum()[None], each]).double().cpu().numpy()
            away = point - start
            return loss + 0.5 * float(ridge @ away**2), gradient + ridge * away

        best = minimize(
            objective, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS}
        )
        return self._unpack(best.x)

    def _unpack(self, point: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        sources = len(self.logits)
        offsets = self.fixed.new_zeros(len(self.taught))
        offsets[self.taught] = self.fixed.new_tensor(point[sources] + point[sources + 1 :])
        return self.fixed.new_tensor(np.exp(point[:sources])), offsets

    def _loss(self, fused: Tensor) -> tuple[float, Tensor]:
        """Cross-entropy summed over the rows, and its slope by the fused logits (R, C)."""
        rows = torch.arange(len(fused), device=fused.device)
        log_p = fused.log_softmax(1)
        loss = -log_p[rows, self.targets].sum()
        error = log_p.exp()
        error[rows, self.targets] -= 1
        if self.left_out_weight > 0:
            # Without its class, a row is of any of the classes that have no shots.
            without = fused.clone()
            without[rows, self.targets] = -torch.inf
            log_p = without.log_softmax(1)
            untaught = log_p.masked_fill(self.taught, -torch.inf)
            share = untaught.logsumexp(1, keepdim=True)
            loss = loss - self.left_out_weight * share.sum()
            error += self.left_out_weight * (log_p.exp() - (untaught - share).exp())
        return float(loss), error


def _best(candidates: Iterable[Source]) -> Source:
    return min(candidates, key=lambda source: source.loss)


def _cache_source(support: SupportSet, queries: Tensor, entries: Entries, rows: Tensor) -> Source:
    """A cache's evidence at the sharpness that alone predicts the left-out labels best."""
    evidence = leave_one_out_evidence(queries, entries, support.counts, SHARPNESSES, rows=rows)
    taught = support.counts > 0
    return _best(
        calibrate(raw, support.targets[rows], taught, sharpness, MOST_CACHE_WEIGHT)
        for raw, sharpness in zip(evidence, SHARPNESSES, strict=True)
    )
