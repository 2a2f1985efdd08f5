"""Every method by name: ours, ours taken apart, and the rivals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import Tensor

from adapter.affinity import zero_shot_logits
from adapter.baselines import BASELINES
from adapter.evidence import cache_evidence
from adapter.fit import Fit, Method
from adapter.fitting import fit, paper_fit
from adapter.head import Head, Hits
from adapter.learned import Learned
from adapter.learner import Classifier, Learner, Tuning
from adapter.networks import Networks
from adapter.options import TrainingOptions
from adapter.selection import SHARPNESSES, best_setting, select
from adapter.support import SupportSet
from adapter.training import train, with_text_key
from adapter.tuning import best

BLOCK = 1024
STRENGTHS = (1.0, 0.0, 0.1, 0.25, 0.5, 2.0, 4.0)
"""Of all that the shots say, chosen on validation features; as the shots themselves say, first."""


@dataclass(frozen=True)
class HeadClassifier:
    """A head with the keys and the networks that it needs for queries.

    Attributes:
        head: fitted.
        keys: (N, D) image keys.
        text_keys: (M, d).
        networks: of the queries' way to the text keys.
        trained_parameters: 0 where no network was trained.
    """

    head: Head
    keys: Tensor
    text_keys: Tensor
    networks: Networks
    trained_parameters: int = 0

    @classmethod
    def of(
        cls, support: SupportSet, networks: Networks, numbers: Fit, parameters: int = 0
    ) -> HeadClassifier:
        """Prepare `support` under these networks and numbers, on the support's device."""
        networks = networks.to(support.keys.device)
        support = with_text_key(support, networks.learned.text_key)
        labels = [support.labels[target] for target in support.targets.tolist()]
        with torch.no_grad():
            return cls(
                Head.build(support, numbers, networks.learned.whitening),
                networks.learned.image_keys(support.keys, labels, _shot_ids(support)),
                networks.meta_net(support.texts),
                networks,
                parameters,
            )

    @torch.no_grad()
    def logits(self, features: Tensor) -> Tensor:
        """(B, C), for unit query features (B, D)."""
        parts = []
        for start in range(0, len(features), BLOCK):
            block = features[start : start + BLOCK]
            mapped = self.networks.img2txt_net(block)
            image, text = Hits(block @ self.keys.T), Hits(mapped @ self.text_keys.T)
            parts.append(self.head.score(block, image, text).logits)
        return torch.cat(parts)

    def at_strength(self, strength: float) -> HeadClassifier:
        """With a factor on all that the shots say."""
        numbers = self.head.fit
        return replace(
            self,
            head=self.head.under(
                replace(
                    numbers,
                    gaussian_weight=strength * numbers.gaussian_weight,
                    image_weight=strength * numbers.image_weight,
                    text_weight=strength * numbers.text_weight,
                    offsets={label: strength * b for label, b in numbers.offsets.items()},
                ),
            ),
        )


@dataclass(frozen=True)
class XMAdapter:
    """XMAdapter as a learner.

    Attributes:
        method: as published, or in full.
        trained: with networks, or as it starts.
        options: of the training.
        change: of the fitted numbers, to take the method apart.
    """

    method: Method
    trained: bool
    options: TrainingOptions = field(default_factory=TrainingOptions)
    change: Callable[[Fit], Fit] = lambda numbers: numbers

    def __call__(self, support: SupportSet, tuning: Tuning) -> Classifier:
        """Learn; on shots alone, or with the numbers chosen on validation features."""
        untrained = self._untrained(support)
        found = [untrained]
        if self.trained and int((support.counts > 0).sum()) > 1:
            options = replace(self.options, seed=tuning.seed)
            result = train(
                support,
                options,
                method=self.method,
                serving=untrained.networks,
                shot_ids=_shot_ids(support),
            )
            classifier = self._classifier(support, result.networks, result.fit, result.parameters)
            # What is published, and serves: the better one by shots that were left out.
            found = [classifier] if result.better else [untrained]
            if tuning.validation is not None:
                found = [untrained, classifier]
        if tuning.validation is None:
            return found[0]
        return self._on_validation(support, found, tuning)

    def _untrained(self, support: SupportSet) -> HeadClassifier:
        initial = Networks.initial(support.keys.shape[1], self.options.text_width)
        networks = replace(initial, learned=Learned(modalities=self.options.modalities))
        networks = networks.to(support.keys.device)
        with torch.no_grad():
            if self.method == "full":
                return self._classifier(support, networks, fit(support, networks, "full"))
            chosen = select(support, networks, self.options.balance, self.options.modalities)
            return self._classifier(support, networks, paper_fit(chosen.numbers, support))

    def _classifier(
        self, support: SupportSet, networks: Networks, numbers: Fit, parameters: int = 0
    ) -> HeadClassifier:
        return HeadClassifier.of(support, networks, self.change(numbers), parameters)

    def _on_validation(
        self, support: SupportSet, found: list[HeadClassifier], tuning: Tuning
    ) -> Classifier:
        held = tuning.validation
        assert held is not None
        if self.method == "paper":
            found = [self._chosen_on(support, each, tuning) for each in found]
            return best(((each, each.logits(held.features)) for each in found), held.targets)
        candidates = [each.at_strength(strength) for each in found for strength in STRENGTHS]
        return best(((each, each.logits(held.features)) for each in candidates), held.targets)

    def _chosen_on(
        self, support: SupportSet, found: HeadClassifier, tuning: Tuning
    ) -> HeadClassifier:
        held = tuning.validation
        assert held is not None
        zero_shot = zero_shot_logits(held.features, support.classifier, support.logit_scale)
        with torch.no_grad():
            image, text = cache_evidence(
                held.features,
                with_text_key(support, found.networks.learned.text_key),
                found.networks,
                SHARPNESSES,
                self.options.balance,
                shot_ids=_shot_ids(support),
            )
        chosen = best_setting(zero_shot, image, text, held.targets, self.options.modalities)
        numbers = paper_fit(replace(chosen.numbers, balance=self.options.balance), support)
        return HeadClassifier.of(
            support, found.networks, self.change(numbers), found.trained_parameters
        )


def _shot_ids(support: SupportSet) -> tuple[str, ...]:
    """A name for each shot: its row."""
    return tuple(str(row) for row in range(len(support.keys)))


def _without_image(numbers: Fit) -> Fit:
    return replace(numbers, image_weight=0.0)


def _without_gaussian(numbers: Fit) -> Fit:
    return replace(numbers, gaussian_weight=0.0)


def _without_offsets(numbers: Fit) -> Fit:
    return replace(numbers, offsets={})


def _ours(method: Method, **options: object) -> XMAdapter:
    return XMAdapter(method, True, replace(TrainingOptions(), **options))  # type: ignore[arg-type]


OURS: Mapping[str, Learner] = MappingProxyType(
    {
        "xmadapter-paper-untrained": XMAdapter("paper", trained=False),
        "xmadapter-paper": XMAdapter("paper", trained=True),
        "xmadapter-full-untrained": XMAdapter("full", trained=False),
        "xmadapter-full": XMAdapter("full", trained=True),
    }
)
"""The published form, and with our additions; each as it starts, and trained."""

ABLATIONS: Mapping[str, Learner] = MappingProxyType(
    {
        "xmadapter-paper-no-text": _ours("paper", modalities="image"),
        "xmadapter-paper-no-image": _ours("paper", modalities="text"),
        "xmadapter-paper-learned-ratio": _ours("paper", image_ratio="learned"),
        "xmadapter-paper-gate": _ours("paper", image_ratio="gate"),
        "xmadapter-paper-hard-samples": _ours("paper", hard_sample_weight=1.0),
        "xmadapter-paper-no-mask": _ours("paper", mask=False),
        "xmadapter-paper-no-residual": _ours("paper", residual="none"),
        "xmadapter-paper-shot-residual": _ours("paper", residual="shot"),
        "xmadapter-paper-low-rank": _ours("paper", residual="low-rank"),
        "xmadapter-paper-conditioned": _ours("paper", text_key="conditioned"),
        "xmadapter-paper-sum": _ours("paper", balance="sum"),
        "xmadapter-full-networks": _ours("full", networks=True),
        "xmadapter-full-text": _ours("full", modalities="both"),
        "xmadapter-full-no-image": XMAdapter("full", True, change=_without_image),
        "xmadapter-full-no-gaussian": XMAdapter("full", True, change=_without_gaussian),
        "xmadapter-full-no-offsets": XMAdapter("full", True, change=_without_offsets),
    }
)
"""Ours with one part taken out, or in another form."""

METHODS: Mapping[str, Learner] = MappingProxyType({**BASELINES, **OURS, **ABLATIONS})
"""Method name to learner."""
