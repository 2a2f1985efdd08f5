"""The online mixture: the weights of all sources of evidence, by leave-one-out on the shots.

Nothing here is trained through a network, and nothing is chosen on data other than the shots
themselves: each shot is scored with itself removed from every source that holds it. The zero-shot
classifier holds none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.functional import cross_entropy

from adapter.affinity import zero_shot_logits
from adapter.fit import Fit
from adapter.gaussian import RIDGES, Spectrum, leave_one_out
from adapter.networks import Networks
from adapter.selection import SHARPNESSES, Entries, leave_one_out_evidence, scorable_rows
from adapter.support import SupportSet

PRIOR_WEIGHTS = (0.7, 0.7, 0.3, 0.3)
"""Of zero-shot, Gaussian, image and text cache, each at its own best temperature."""
WEIGHT_RIDGE = 1.0
"""Strength of that prior, on the logarithm of a weight."""
OFFSET_RIDGE = 2.0
TEMPERATURE_PRIOR = 0.05
"""Keeps a temperature finite where it alone separates the shots perfectly."""
SINGLE_SHOT_GAUSSIAN = 1.0
"""Weight of the identity-covariance term, whose spread is one, where nothing can be left out."""
ITERATIONS = 100


@dataclass(frozen=True)
class Source:
    """One source of evidence about R labelled rows, at its best setting.

    Attributes:
        raw: (R, C).
        temperature: the factor under which it alone predicts the labels best.
        loss: its mean cross-entropy then.
        setting: the sharpness or ridge that it was computed with.
    """

    raw: Tensor
    temperature: float
    loss: float
    setting: float = 0.0


def calibrate(raw: Tensor, targets: Tensor, setting: float = 0.0) -> Source:
    """Find the factor t > 0 that minimises the cross-entropy of t * raw, over e^-7 to e^7.

    The range is relative to the spread of the values. `raw` is (R, C), `targets` (R,).
    """
    centred = raw - raw.mean(1, keepdim=True)
    spread = float(centred.square().mean().sqrt()) or 1.0
    scaled = centred / spread
    own = scaled.gather(1, targets[:, None])[:, 0]

    def objective(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        factor = float(np.exp(point[0]))
        log_p = (factor * scaled).log_softmax(1)
        loss = -log_p.gather(1, targets[:, None]).sum()
        slope = factor * ((log_p.exp() * scaled).sum(1) - own).sum()
        prior = TEMPERATURE_PRIOR * point[0] ** 2
        return float(loss) + prior, np.array([float(slope) + 2 * TEMPERATURE_PRIOR * point[0]])

    best = minimize(objective, np.zeros(1), jac=True, method="L-BFGS-B", bounds=[(-7.0, 7.0)])
    temperature = float(np.exp(best.x[0])) / spread
    return Source(raw, temperature, float(cross_entropy(temperature * raw, targets)), setting)


def fit_mixture(support: SupportSet, networks: Networks) -> Fit:
    """Fit every number of the mixture to the shots.

    Args:
        support: the shots of all classes; a class may have none.
        networks: MetaNet and Img2TxtNet, on the support's device.

    Returns:
        A fit of method "full". Without any shot, CLIP's own zero-shot scores.
    """
    if len(support.keys) == 0:
        return Fit(method="full")
    zero_shot = zero_shot_logits(support.keys, support.classifier, support.logit_scale)
    temperature = calibrate(zero_shot, support.targets).temperature
    spectrum = Spectrum.of(support)
    rows = scorable_rows(support)
    if len(rows) == 0 or spectrum.degenerate:
        return Fit(
            method="full",
            zero_shot_weight=temperature,
            gaussian_weight=SINGLE_SHOT_GAUSSIAN,
            shots=len(support.keys),
        )
    targets = support.targets[rows]
    gaussian = min(
        (
            calibrate(leave_one_out(support, spectrum, ridge)[rows], targets, ridge)
            for ridge in RIDGES
        ),
        key=lambda source: source.loss,
    )
    with torch.no_grad():
        texts = Entries.of_texts(support, networks)
        mapped = networks.img2txt_net(support.keys)
    image = _cache_source(support, support.keys, Entries.of_images(support), rows)
    text = _cache_source(support, mapped, texts, rows)
    logits = torch.stack(
        [temperature * zero_shot[rows]]
        + [source.temperature * source.raw for source in (gaussian, image, text)]
    )
    weights, offsets = combine(logits, targets, support.counts > 0)
    fused = (logits * weights[:, None, None]).sum(0) + offsets
    temperatures = (temperature, gaussian.temperature, image.temperature, text.temperature)
    factors = [w * t for w, t in zip(weights.tolist(), temperatures, strict=True)]
    return Fit(
        method="full",
        image_sharpness=image.setting,
        text_sharpness=text.setting,
        zero_shot_weight=factors[0],
        gaussian_weight=factors[1],
        gaussian_ridge=gaussian.setting,
        image_weight=factors[2],
        text_weight=factors[3],
        offsets=dict(zip(support.labels, offsets.tolist(), strict=True)),
        shots=len(support.keys),
        accuracy=float((fused.argmax(1) == targets).double().mean()),
    )


def combine(logits: Tensor, targets: Tensor, adjustable: Tensor) -> tuple[Tensor, Tensor]:
    """Positive weights (S,) and class offsets (C,) that predict the labels best together.

    Minimises the summed cross-entropy of sum_s w_s logits_s + b under a prior on log w around
    `PRIOR_WEIGHTS` and a ridge on b, with L-BFGS.

    Args:
        logits: (S, R, C), each source at its own best temperature.
        targets: (R,) int64.
        adjustable: (C,) bool, the classes whose offset may move from 0.
    """
    sources, rows, _ = logits.shape
    prior = np.log(PRIOR_WEIGHTS)
    one_hot_rows = torch.arange(rows, device=logits.device)

    def unpack(point: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        offsets = logits.new_zeros(len(adjustable))
        offsets[adjustable] = logits.new_tensor(point[sources:])
        return logits.new_tensor(np.exp(point[:sources])), offsets

    def objective(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, offsets = unpack(point)
        log_p = (torch.einsum("s,src->rc", weights, logits) + offsets).log_softmax(1)
        loss = float(-log_p[one_hot_rows, targets].sum())
        error = log_p.exp()
        error[one_hot_rows, targets] -= 1
        slopes = torch.einsum("rc,src->s", error, logits) * weights
        gradient = torch.cat([slopes, error.sum(0)[adjustable]]).double().cpu().numpy()
        off_prior = point[:sources] - prior
        loss += 0.5 * WEIGHT_RIDGE * float(off_prior @ off_prior)
        loss += 0.5 * OFFSET_RIDGE * float(point[sources:] @ point[sources:])
        gradient[:sources] += WEIGHT_RIDGE * off_prior
        gradient[sources:] += OFFSET_RIDGE * point[sources:]
        return loss, gradient

    start = np.concatenate([prior, np.zeros(int(adjustable.sum()))])
    best = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
    return unpack(best.x)


def _cache_source(support: SupportSet, queries: Tensor, entries: Entries, rows: Tensor) -> Source:
    """A cache's evidence at the sharpness that alone predicts the left-out labels best."""
    targets = support.targets[rows]
    evidence = leave_one_out_evidence(queries, entries, support.counts, SHARPNESSES, rows=rows)
    candidates = (
        calibrate(raw, targets, sharpness)
        for raw, sharpness in zip(evidence, SHARPNESSES, strict=True)
    )
    return min(candidates, key=lambda source: source.loss)
