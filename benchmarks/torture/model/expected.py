"""What a classifier must answer, in float64 NumPy, from what a plain cache holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from adapter.encoder import Encoder
from adapter.fit import Fit
from adapter.learned import Learned
from adapter.networks import Networks
from adapter.support import SupportSet
from benchmarks.torture.model.plain import Doubles, Plain, Prompts, State
from tests.adapter.fused_reference import doubles, reference_precision, reference_terms, unit

ROUNDING = 2e-5
"""Relative, of float32: a few hundred roundings of 6e-8, and ten times that where a covariance was
decomposed, whose least ridge is a tenth of its mean eigenvalue."""


@dataclass(frozen=True)
class Answering:
    """What a cache answers with beside its shots.

    Attributes:
        networks: those that serve.
        fit: the fitted numbers.
        fitted: what the cache held when the covariance was taken.
        names: what each shot is called by those who trained.
    """

    networks: Networks
    fit: Fit
    fitted: State
    names: Mapping[int, str]


class Towers:
    """Text features in float64, each encoded once. `width` is D."""

    def __init__(self, encoder: Encoder, template: str) -> None:
        self.width = encoder.width
        self._encoder = encoder
        self._template = template
        self._rows: dict[str, Doubles] = {}

    def text(self, text: str) -> Doubles:
        """(D,): of a caption or a finished prompt."""
        if text not in self._rows:
            self._rows[text] = doubles(self._encoder.encode_texts([text]))[0]
        return self._rows[text]

    def name(self, label: str, prompts: Prompts) -> Doubles:
        """(D,): of a class."""
        texts = [each.replace("{}", label) for each in prompts or (self._template,)]
        return unit(np.stack([self.text(text) for text in texts]).sum(0))


def support_of(plain: Plain, state: State, towers: Towers, learned: Learned) -> SupportSet:
    """A version as a classifier sees it, in float64; every key has a text of its own."""
    classes = [state.classes[number] for number in sorted(state.classes)]
    labels = [label for label, _ in classes]
    names = [_name(towers, label, prompts, learned) for label, prompts in classes]
    keys, targets, texts = [], [], []
    for shots in state.groups():
        target, caption = labels.index(state.label(shots[0])), plain.shots[shots[0]][1]
        own = caption is not None and learned.text_key != "class"
        text = towers.text(caption) if own and caption is not None else names[target]
        key = plain.key(shots)
        keys.append(key)
        targets.append(target)
        texts.append(unit(text + key) if learned.text_key == "conditioned" else text)
    return SupportSet(
        labels=tuple(labels),
        classifier=_tensor(names, towers),
        logit_scale=10.0,
        keys=_tensor(keys, towers),
        targets=torch.tensor(targets, dtype=torch.int64),
        texts=_tensor(texts, towers),
        text_rows=torch.arange(len(keys)),
    )


def expected_terms(
    plain: Plain, towers: Towers, answering: Answering, queries: Tensor
) -> tuple[tuple[str, ...], dict[str, Doubles], dict[str, Doubles]]:
    """Labels; term name -> (B, C), for unit queries (B, D); and how far each may be off."""
    learned, fit = answering.networks.learned, answering.fit
    support = support_of(plain, plain.state, towers, learned)
    fitted = support_of(plain, answering.fitted, towers, learned)
    leaders = [answering.names[shots[0]] for shots in plain.state.groups()]
    networks = replace(answering.networks, learned=_by_row(learned, leaders))
    terms = reference_terms(support, networks, fit, queries, fitted)
    sizes = {name: np.abs(term) for name, term in terms.items()}
    # Cosines are rounded, too, and a sharp affinity multiplies that; logits are centred.
    sizes["zero_shot"] = np.full_like(terms["zero_shot"], support.logit_scale)
    sizes["image_cache"] = sizes["image_cache"] * (10 + fit.image_sharpness)
    sizes["text_cache"] = sizes["text_cache"] * (10 + fit.text_sharpness)
    if "gaussian" in terms:
        precision = reference_precision(fitted, networks, fit)
        sizes["gaussian"] = _gaussian_sizes(support, precision, fit, doubles(queries))
    return support.labels, terms, {name: ROUNDING * (1 + size) for name, size in sizes.items()}


def _by_row(learned: Learned, names: Sequence[str]) -> Learned:
    """Residuals of shots under the names that the reference gives to rows."""
    own = learned.shot_residuals
    rows = {f"shot {row}": own[name] for row, name in enumerate(names) if name in own}
    return replace(learned, shot_residuals=rows)


def _gaussian_sizes(support: SupportSet, precision: Doubles, fit: Fit, f: Doubles) -> Doubles:
    """(B, C): what is added up, without signs, to give half a squared distance."""
    reach = np.abs(f)[:, None] + np.abs(doubles(support.means))[None]
    found: Doubles = np.einsum("bcd,de,bce->bc", reach, np.abs(precision), reach)
    return fit.gaussian_weight * (abs(fit.gaussian_origin) + 0.5 * found)


def _name(towers: Towers, label: str, prompts: Prompts, learned: Learned) -> Doubles:
    trained = learned.class_features.get(label)
    return towers.name(label, prompts) if trained is None else doubles(trained)


def _tensor(rows: Sequence[Doubles], towers: Towers) -> Tensor:
    return torch.from_numpy(np.stack(rows)) if rows else torch.zeros(0, towers.width).double()
