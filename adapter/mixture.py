"""The online mixture: the weights of all sources of evidence, by leave-one-out on the shots.

Nothing here is trained through a network, and nothing is chosen on data other than the shots
themselves: each shot is scored with itself removed from every source that holds it. The zero-shot
classifier holds none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adapter.affinity import centred, zero_shot_logits
from adapter.belief import ENOUGH, Belief, believe
from adapter.combination import combine
from adapter.fit import SINGLE_SHOT_SHARPNESS, Fit
from adapter.gaussian import (
    RIDGES,
    Distances,
    Spectrum,
    identity_precision,
    leave_one_out,
    whitened,
)
from adapter.names import balance_with_names
from adapter.networks import Networks
from adapter.selection import (
    SHARPNESSES,
    Entries,
    leave_one_out_evidence,
    scorable_rows,
)
from adapter.strength import choose_strength, least_strength, weaken
from adapter.support import SupportSet
from adapter.temperature import fit_temperatures
from adapter.text_pairs import TextPairs

NAMES_WEIGHT, GAUSSIAN_WEIGHT, CACHE_WEIGHT = 0.7, 1.0, 0.1
"""Before any shot is seen, of each source at its own best temperature."""
GAUSSIAN_PRIOR = 2.0
"""How strongly a Gaussian term is held to logits of unit spread: a handful of left-out shots
undervalues it."""
INDEPENDENCE = 0.3
"""Left-out shots are scored by each other: so many of them are worth one of a likelihood's."""
CACHE_PRIOR = 0.05
"""Likewise; this little keeps a temperature finite where it alone separates the shots."""
MOST_CACHE_WEIGHT = 50.0
"""Where all affinities are tiny, nothing sensible is found by blowing them up."""
LEVELLING = 0.25
"""How much of a name's level is taken off: a few shots know it only roughly."""
SAME_TEXT = 1e-3
"""Half precision's rounding of a feature is less than this."""
SINGLE_WEIGHT = 0.5
"""With one shot a class, beside names alone: on distances in units of what is typical between
strangers, and on the image cache, since the shots are part of the answer and of its reasons."""


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


@dataclass(frozen=True)
class LeftOut:
    """A fit, and what it says of each of R shots with the shot itself left out.

    Attributes:
        fit: the numbers, for evidence at its full strength.
        evidence: (R, C) logits, less their zero-shot term.
        rows: (R,) int64, which shots these are.
        names: (R, C) zero-shot logits, levelled and at their own temperature.
        belief: in the names.
        weight: of the names, at the evidence's full strength.
        single: whether nothing could be left out, so that the evidence tells strangers apart and
            nothing else.
    """

    fit: Fit
    evidence: Tensor
    rows: Tensor
    names: Tensor
    belief: Belief
    weight: float = 1.0
    single: bool = False


def fit_mixture(support: SupportSet, networks: Networks) -> Fit:
    """Fit every number of the mixture to the shots.

    Classes without shots have no part in it but at the end, when it is decided from where on a
    query is rather of a class with shots than of one that has a name alone.

    Args:
        support: the shots of all classes; a class may have none.
        networks: MetaNet and Img2TxtNet, on the support's device.

    Returns:
        A fit of method "full". Without any shot, CLIP's own zero-shot scores.
    """
    taught = support.counts > 0
    if not bool(taught.any()):
        return Fit(method="full")
    with_shots = support.only(taught)
    left_out = _several_shots(with_shots, networks) or _single_shots(with_shots)
    if bool(taught.all()):
        return _levelled(_in_proportion(left_out, with_shots.targets), support)
    return _beside_names(support, left_out, with_shots)


def name_levels(support: SupportSet) -> Tensor:
    """(C,): `LEVELLING` of each name's mean zero-shot logit over the shots, classes counting once.

    A name that means nothing to CLIP gets much the same logit from every picture, often a low one.
    Less this level, it neither loses nor wins everywhere.
    """
    means = centred(zero_shot_logits(support.means, support.classifier, support.logit_scale))
    return LEVELLING * means[support.counts > 0].mean(0)


def _levelled(fit: Fit, support: SupportSet) -> Fit:
    """`fit`, whose zero-shot term is less the level of each name, with that in its offsets."""
    levels = (fit.zero_shot_weight * name_levels(support)).tolist()
    offsets = {
        label: fit.offsets.get(label, 0.0) - level
        for label, level in zip(support.labels, levels, strict=True)
    }
    return replace(fit, offsets=offsets)


def _beside_names(support: SupportSet, left_out: LeftOut, with_shots: SupportSet) -> Fit:
    """`left_out.fit`, weighed against the classes of `support` that have a name alone."""
    taught = support.counts > 0
    keys = support.keys[left_out.rows]
    zero_shot = centred(zero_shot_logits(keys, support.classifier, support.logit_scale))
    balance = balance_with_names(
        zero_shot[:, taught],
        left_out.evidence,
        with_shots.targets[left_out.rows],
        zero_shot[:, ~taught],
        single=bool((with_shots.counts == 1).all()),
    )
    fit, weight = left_out.fit, balance.evidence_weight
    return replace(
        fit,
        zero_shot_weight=balance.zero_shot_weight,
        gaussian_weight=weight * fit.gaussian_weight,
        image_weight=weight * fit.image_weight,
        text_weight=weight * fit.text_weight,
        offsets={
            label: weight * fit.offsets.get(label, 0.0) + balance.offset
            for label in with_shots.labels
        },
    )


def _in_proportion(left_out: LeftOut, targets: Tensor) -> Fit:
    """The fit whose evidence is as strong as it is of use beside the names of its own classes."""
    fit, doubt = left_out.fit, left_out.belief.doubt
    if left_out.single:
        return _weakened(fit, least_strength(doubt) / SINGLE_WEIGHT)
    targets = targets[left_out.rows]
    strength = choose_strength(left_out.names, left_out.weight, left_out.evidence, targets, doubt)
    weight = weaken(left_out.weight, strength)
    fused = weight * left_out.names + strength * left_out.evidence
    # Weaker evidence is less certain than it should be: one temperature on all of it.
    scale = calibrate(fused[None], targets).temperature
    return replace(
        _weakened(fit, scale * strength),
        zero_shot_weight=scale * weight * left_out.belief.temperature,
        accuracy=float((fused.argmax(1) == targets).double().mean()),
    )


def _weakened(fit: Fit, factor: float) -> Fit:
    """`fit` with a factor on everything but the zero-shot term."""
    return replace(
        fit,
        gaussian_weight=factor * fit.gaussian_weight,
        image_weight=factor * fit.image_weight,
        text_weight=factor * fit.text_weight,
        offsets={label: factor * offset for label, offset in fit.offsets.items()},
    )


def _several_shots(support: SupportSet, networks: Networks) -> LeftOut | None:
    """The fit where there are classes of two shots or more; every class has one at least.

    None where leaving a shot out leaves nothing, or nothing to tell apart: with one shot a class
    no shot has a fellow, with one class none has a rival, and equal shots have no covariance.
    """
    rows, spectrum = scorable_rows(support), Spectrum.of(support)
    if not len(rows) or support.class_count == 1 or spectrum.degenerate:
        return None
    targets = support.targets[rows]
    belief, names = _names(support, rows)
    gaussian, ridges = _gaussian_source(support, spectrum, networks.learned.whitening, rows)
    caches = _cache_sources(support, networks, rows)

    sources = (gaussian, *caches.values())
    logits = torch.stack([names, *(source.temperature * source.raw for source in sources)])
    priors = [CACHE_WEIGHT] * len(caches)
    weights, offsets = combine(
        logits, targets, (NAMES_WEIGHT, GAUSSIAN_WEIGHT, *priors), support.counts
    )
    evidence = torch.einsum("s,src->rc", weights[1:], logits[1:]) + offsets
    weight, *others = weights.tolist()
    factors = dict(zip(caches, others[1:], strict=True))
    image, text = caches.get("image"), caches.get("text")
    fit = Fit(
        method="full",
        image_sharpness=image.setting if image else SINGLE_SHOT_SHARPNESS,
        text_sharpness=text.setting if text else SINGLE_SHOT_SHARPNESS,
        zero_shot_weight=weight * belief.temperature,
        gaussian_weight=others[0],
        gaussian_ridges=ridges[: len(RIDGES)],
        whitened_ridges=ridges[len(RIDGES) :],
        gaussian_origin=gaussian.setting,
        image_weight=factors["image"] * image.temperature if image else 0.0,
        text_weight=factors["text"] * text.temperature if text else 0.0,
        offsets=dict(zip(support.labels, offsets.tolist(), strict=True)),
        shots=len(support.keys),
        accuracy=float(((weight * names + evidence).argmax(1) == targets).double().mean()),
    )
    return LeftOut(fit, evidence, rows, names, belief, weight)


def _single_shots(support: SupportSet) -> LeftOut:
    """The fit where there is nothing to leave out.

    What there is: the names as far as they can be believed, and the Gaussian term with an identity
    covariance, scaled to unit spread.
    """
    rows = torch.arange(len(support.keys), device=support.keys.device)
    belief, names = _names(support, rows)
    distances = Distances.to(support.means, identity_precision(support)).of(support.keys)
    # Without itself, a shot is K/(K-1) times as far from the mean of its class.
    counts = support.counts[support.targets].to(distances.dtype)
    own = support.targets[:, None]
    scale = (counts / (counts - 1).clamp(min=1)).square()[:, None]
    distances.scatter_(1, own, distances.gather(1, own) * scale)
    origin = float(distances.median())
    fit = Fit(
        method="full",
        zero_shot_weight=belief.temperature,
        image_weight=SINGLE_WEIGHT,
        text_weight=0.0,
        gaussian_weight=SINGLE_WEIGHT,
        gaussian_origin=origin,
        shots=len(support.keys),
    )
    evidence = SINGLE_WEIGHT * (origin - distances)
    return LeftOut(fit, evidence, rows, names, belief, single=True)


def _names(support: SupportSet, rows: Tensor) -> tuple[Belief, Tensor]:
    """What is believed of the names, and (R, C) their logits for the shots `rows` under it.

    The zero-shot classifier holds no shot, so that those may be asked, too, that are not scored.
    """
    levels = name_levels(support)

    def levelled(keys: Tensor) -> Tensor:
        return centred(zero_shot_logits(keys, support.classifier, support.logit_scale)) - levels

    every = slice(None, None, -(-len(support.keys) // ENOUGH))
    belief = believe(levelled(support.keys[every]), support.targets[every])
    return belief, belief.temperature * levelled(support.keys[rows])


def _gaussian_source(
    support: SupportSet, spectrum: Spectrum, whitening: Tensor | None, rows: Tensor
) -> tuple[Source, list[float]]:
    """The Gaussian term of all ridges together, weighed by likelihood, and their weights.

    Its setting is its origin: a shot at the median distance from the rest of its class has a
    Gaussian term of 0. The weights are those of `RIDGES`, then of the same after the whitening.
    """
    targets = support.targets[rows]
    raw = -leave_one_out(support, spectrum, RIDGES, rows=rows)
    if whitening is not None:
        inner = whitened(support, whitening)
        raw = torch.cat([raw, -leave_one_out(inner, Spectrum.of(inner), RIDGES, rows=rows)])
    temperatures, losses = fit_temperatures(raw, targets, prior=GAUSSIAN_PRIOR)
    weights = (-INDEPENDENCE * len(rows) * losses).softmax(0) * temperatures
    together = torch.einsum("s,src->rc", weights, raw)
    origin = -float(together.gather(1, targets[:, None]).median())
    return Source(together + origin, 1.0, float("nan"), origin), weights.tolist()


def calibrate(
    raw: Tensor,
    targets: Tensor,
    settings: Sequence[float] = (0.0,),
    *,
    most: float = float("inf"),
    prior: float = CACHE_PRIOR,
) -> Source:
    """The best of S candidates for one source, each at its own best temperature.

    Args:
        raw: (S, R, C).
        targets: (R,) int64.
        settings: S, what each was computed with.
        most: the largest temperature allowed.
        prior: strength of a prior on the logarithm of the logits' spread, around 0.
    """
    temperatures, losses = fit_temperatures(raw, targets, prior=prior, most=most)
    best = int(losses.argmin())
    return Source(raw[best], float(temperatures[best]), float(losses[best]), settings[best])


def _has_captions(support: SupportSet) -> bool:
    """Whether any shot has a text other than its class's."""
    # By pairs: a row for each shot would be a second cache.
    pairs = TextPairs.of(support.targets, support.text_rows)
    away = support.texts[pairs.texts] - support.classifier[pairs.classes]
    return bool((away.abs() > SAME_TEXT).any())


def _cache_sources(support: SupportSet, networks: Networks, rows: Tensor) -> dict[str, Source]:
    """Each cache's evidence at the sharpness that alone predicts the left-out labels best."""
    asked, wanted = {}, networks.learned.modalities
    with torch.no_grad():
        if wanted != "text":
            asked["image"] = support.keys, Entries.of_images(support, networks)
        if wanted in ("both", "text") or (wanted == "auto" and _has_captions(support)):
            mapped = networks.img2txt_net(support.keys)
            asked["text"] = mapped, Entries.of_texts(support, networks)
    targets, found = support.targets[rows], {}
    for name, (queries, entries) in asked.items():
        raw = leave_one_out_evidence(queries, entries, support.counts, SHARPNESSES, rows=rows)
        found[name] = calibrate(raw, targets, SHARPNESSES, most=MOST_CACHE_WEIGHT)
    return found
