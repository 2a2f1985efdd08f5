"""What training adds to the two maps: a metric, residuals on keys, numbers, class features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from adapter.affinity import Balance

PREFIX = "learned."

TextKey = Literal["class", "caption", "conditioned"]
"""What a text key is made of: the class's text, the shot's caption where it has one, or either of
these moved by the shot's own picture (after CoCM, Electronics 2025, 14(1), 26)."""
TEXT_KEYS: tuple[TextKey, ...] = get_args(TextKey)

Modalities = Literal["auto", "both", "image", "text"]
"""Which caches have a say. `auto`: both; but in the full form the text cache only where shots have
captions, since with the classes' own texts it says what their names say already."""
MODALITIES: tuple[Modalities, ...] = get_args(Modalities)


@dataclass(frozen=True)
class PaperNumbers:
    """The numbers that the published form learns; see `adapter.fit.Fit` for their use.

    Attributes:
        cache_weight: alpha.
        image_sharpness: beta_I.
        text_sharpness: beta_T.
        image_ratio: gamma, for a query on which the modalities disagree by one half.
        gate: how much the logit of gamma grows with the disagreement; 0 for one ratio for all.
        balance: of the evidence that they were learned with.
    """

    cache_weight: float
    image_sharpness: float
    text_sharpness: float
    image_ratio: float
    gate: float = 0.0
    balance: Balance = "balanced"


@dataclass(frozen=True)
class Learned:
    """Everything trained that is not one of the two maps. All of it is optional.

    Attributes:
        whitening: (D, D), of the Gaussian term; see `adapter.whitening`.
        class_residuals: label -> (D,), on the image keys of all shots of a class, later ones too.
        shot_residuals: shot id -> (D,), on that shot's image key alone.
        low_rank: (D, r) and (r, D): k -> k + (k A) B on every image key.
        numbers: of the published form.
        class_features: label -> (D,), in place of the classes' own text features.
        text_key: what text keys are made of.
        modalities: which caches the full form weighs.
    """

    whitening: Tensor | None = None
    class_residuals: Mapping[str, Tensor] = field(default_factory=dict)
    shot_residuals: Mapping[str, Tensor] = field(default_factory=dict)
    low_rank: tuple[Tensor, Tensor] | None = None
    numbers: PaperNumbers | None = None
    class_features: Mapping[str, Tensor] = field(default_factory=dict)
    text_key: TextKey = "caption"
    modalities: Modalities = "auto"

    @property
    def moves_keys(self) -> bool:
        """Whether image keys are other than the shots' features."""
        return bool(self.class_residuals or self.shot_residuals) or self.low_rank is not None

    def image_keys(
        self, keys: Tensor, labels: Sequence[str], shot_ids: Sequence[str] | None = None
    ) -> Tensor:
        """(N, D): `keys` with their residuals; a shot without one keeps its key.

        Not normalised again, as in Tip-Adapter-F: what is trained is the inner product.

        Args:
            keys: (N, D) unit features of the shots.
            labels: N.
            shot_ids: N; None where none is known.
        """
        if not self.moves_keys:
            return keys
        moved = keys
        if self.low_rank is not None:
            down, up = (part.to(keys) for part in self.low_rank)
            moved = moved + (keys @ down) @ up
        for names, residuals in (
            (labels, self.class_residuals),
            (shot_ids or (), self.shot_residuals),
        ):
            rows = [row for row, name in enumerate(names) if name in residuals]
            if rows:
                moved = moved.clone()
                moved[rows] += torch.stack([residuals[names[row]] for row in rows]).to(keys)
        return moved

    def text_feature(self, text: Tensor, keys: Tensor) -> Tensor:
        """(..., D): the feature that a shot's text key is made of.

        Args:
            text: (..., D) unit features of the class's text, or of the caption.
            keys: (..., D) unit features of the shots.
        """
        if self.text_key != "conditioned":
            return text
        return functional.normalize(text + keys, dim=-1)

    def to(self, device: torch.device) -> Learned:
        """This, with what queries meet on a device."""
        whitening = None if self.whitening is None else self.whitening.to(device)
        return replace(self, whitening=whitening)

    def tensors(self) -> dict[str, Tensor]:
        """Flat names to tensors, for a file; `from_file` reads them back."""
        found: dict[str, Tensor] = {}
        if self.whitening is not None:
            found["whitening"] = self.whitening
        if self.low_rank is not None:
            found["low_rank.down"], found["low_rank.up"] = self.low_rank
        for name, rows in self._mappings().items():
            if rows:
                found[name] = torch.stack(list(rows.values()))
        return {PREFIX + name: each.detach().cpu().contiguous() for name, each in found.items()}

    def facts(self) -> dict[str, Any]:
        """What of it is no tensor, for JSON."""
        facts: dict[str, Any] = {"text_key": self.text_key, "modalities": self.modalities}
        facts |= {name: list(rows) for name, rows in self._mappings().items() if rows}
        if self.numbers is not None:
            facts["numbers"] = vars(self.numbers)
        return facts

    def _mappings(self) -> dict[str, Mapping[str, Tensor]]:
        return {
            "class_residuals": self.class_residuals,
            "shot_residuals": self.shot_residuals,
            "class_features": self.class_features,
        }

    @classmethod
    def from_file(
        cls, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], width: int
    ) -> Learned:
        """Read what `tensors` and `facts` gave.

        Args:
            tensors: all of a file; those of other parts are passed over.
            facts: see `facts`.
            width: D.

        Raises:
            ValueError: they do not belong together, or are not for this width.
        """
        own = {n.removeprefix(PREFIX): t for n, t in tensors.items() if n.startswith(PREFIX)}
        _check_shapes(own, width)
        chosen: dict[str, Any] = {n: _rows(own, facts, n) for n in cls()._mappings()}
        for name, known in (("text_key", TEXT_KEYS), ("modalities", MODALITIES)):
            chosen[name] = facts.get(name, getattr(cls, name))
            if chosen[name] not in known:
                raise ValueError(
                    f"expected {name} to be one of {', '.join(known)}, got {chosen[name]!r}"
                )
        down, up = own.get("low_rank.down"), own.get("low_rank.up")
        return cls(
            whitening=own.get("whitening"),
            low_rank=None if down is None or up is None else (down, up),
            numbers=_numbers(facts["numbers"]) if "numbers" in facts else None,
            **chosen,
        )


def _rows(tensors: Mapping[str, Tensor], facts: Mapping[str, Any], name: str) -> dict[str, Tensor]:
    matrix, names = tensors.get(name, torch.zeros(0)), facts.get(name, [])
    known = isinstance(names, list) and all(isinstance(each, str) for each in names)
    if not known or not len(matrix) == len(names) == len(set(names)):
        raise ValueError(
            f"expected a name for each of {len(matrix)} rows of {name}, got {str(names)[:80]}"
        )
    return dict(zip(names, matrix, strict=True))


def _numbers(facts: Any) -> PaperNumbers:
    try:
        numbers = PaperNumbers(**facts)
        finite = all(isfinite(value) for name, value in facts.items() if name != "balance")
    except (TypeError, OverflowError) as error:
        raise ValueError(f"expected the numbers of the published form: {error}") from error
    if not finite or numbers.balance not in get_args(Balance):
        raise ValueError(f"expected finite numbers and a known balance, got {facts}")
    return numbers


def _check_shapes(tensors: Mapping[str, Tensor], width: int) -> None:
    for name, tensor in tensors.items():
        axes = {"low_rank.down": (0,), "whitening": (0, 1)}.get(name, (1,))
        if tensor.ndim != 2 or any(tensor.shape[axis] != width for axis in axes):
            raise ValueError(f"expected {name} for width {width}, got {tuple(tensor.shape)}")
    ranks = [
        tensors[name].shape[axis]
        for name, axis in (("low_rank.down", 1), ("low_rank.up", 0))
        if name in tensors
    ]
    if ranks and (len(ranks) != 2 or ranks[0] != ranks[1]):
        raise ValueError("expected low_rank.down (D, r) and low_rank.up (r, D) of one rank")
