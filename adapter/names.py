"""Classes with shots against classes that have a name alone.

The shots say nothing of how pictures of the latter look: fitted on shots alone, the taught classes
would take everything. So each shot is scored twice. Without itself, it is of a taught class, and
should be found to be so. With its class reduced to a name, as if never taught, it should go to none
of the other taught classes. How strongly the shots speak, and from where on, is chosen so that the
fewest pictures go wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import torch
from scipy.special import stdtrit
from torch import Tensor

ZERO_SHOT_WEIGHTS = (1.0, 0.5, 0.0)
"""On the names of the taught classes; those of the others have 1. 0 for names that mean nothing."""
EVIDENCE_WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0)
"""On all that the shots say; with 0 it is CLIP's own zero-shot answer."""
FALSE_ALARM_COST = 1.0
"""Of a stranger taken for a taught class, against a member that is missed."""
MOST_NAMES_PER_CLASS = 10.0
"""Untaught classes count as asked about as often as taught ones, up to this many for each."""
SMOOTHING = 0.25
"""Width of the steps of the error rates, in standard deviations of the margins."""
STRANGERS_KEPT_OUT = 0.9
"""Where shots are too few for error rates, one stranger in ten may pass."""
LEAST_ROWS = 12
"""Fewer shots than this give no error rates, only a mean and a spread."""
LEAST_OFFSET = -2.0
"""However few shots: where names do mean something, a class keeps most of what its name gives."""
CANDIDATES = 201


@dataclass(frozen=True)
class Balance:
    """How the taught classes compete with names.

    Attributes:
        zero_shot_weight: on the zero-shot logits of taught classes.
        evidence_weight: on everything else that speaks for them.
        offset: of all of them.
    """

    zero_shot_weight: float
    evidence_weight: float
    offset: float


def balance_with_names(
    zero_shot: Tensor, evidence: Tensor, targets: Tensor, names: Tensor, *, single: bool
) -> Balance:
    """Choose how the taught classes compete with those that have a name alone.

    Args:
        zero_shot: (R, A) zero-shot logits of the taught classes for each of R shots.
        evidence: (R, A), what the shots say of each of them, the shot itself left out.
        targets: (R,) int64, each shot's class among these.
        names: (R, U) zero-shot logits of the classes without shots.
        single: whether each class has one shot, so that without itself nothing is left.
    """
    best_name = names.max(1).values
    own = targets[:, None]
    if single or len(evidence) < LEAST_ROWS or evidence.shape[1] == 1:
        return Balance(1.0, 1.0, _cautious(zero_shot, evidence, own, best_name, single=single))
    best_untaught = torch.maximum(best_name, zero_shot.gather(1, own)[:, 0])
    ratio = FALSE_ALARM_COST * min(names.shape[1] / evidence.shape[1], MOST_NAMES_PER_CLASS)
    best, chosen = -torch.inf, Balance(1.0, 0.0, 0.0)
    for zero_shot_weight, evidence_weight in product(ZERO_SHOT_WEIGHTS, EVIDENCE_WEIGHTS):
        taught = zero_shot_weight * zero_shot + evidence_weight * evidence
        members = taught.gather(1, own)[:, 0] - best_name
        # A member taken for another taught class is lost whatever the offset is.
        members = torch.where(taught.argmax(1) == targets, members, -torch.inf)
        strangers = taught.scatter(1, own, -torch.inf).max(1).values - best_untaught
        gain, offset = _best_offset(members, strangers, ratio)
        if gain > best:
            best, chosen = gain, Balance(zero_shot_weight, evidence_weight, offset)
    return chosen


def _best_offset(members: Tensor, strangers: Tensor, ratio: float) -> tuple[float, float]:
    """The largest share of members found less `ratio` times that of strangers, and its offset."""
    finite = torch.cat([members[members.isfinite()], strangers])
    width = max(float(finite.std(correction=0)) * SMOOTHING, 1e-6)
    low, high = float(finite.min()) - width, float(finite.max()) + width
    thresholds = torch.linspace(low, high, CANDIDATES).to(strangers)
    found = torch.sigmoid((members[:, None] - thresholds) / width).mean(0)
    alarms = torch.sigmoid((strangers[:, None] - thresholds) / width).mean(0)
    gain = found - ratio * alarms
    best = int(gain.argmax())
    return float(gain[best]), -float(thresholds[best])


def _cautious(
    zero_shot: Tensor, evidence: Tensor, own: Tensor, best_name: Tensor, *, single: bool
) -> float:
    """The offset where the shots are too few to tell how members and strangers differ."""
    taught = zero_shot + evidence
    if taught.shape[1] == 1:
        margins = taught[:, 0] - best_name
        # Strangers are unknown: half of the class's own shots pass, and a lone one as it is.
        return 0.0 if single else -float(margins.median())
    best_untaught = torch.maximum(best_name, zero_shot.gather(1, own)[:, 0])
    strangers = taught.scatter(1, own, -torch.inf).max(1).values - best_untaught
    # The upper end of a prediction interval for one more stranger like these few.
    quantile = float(stdtrit(len(strangers) - 1, STRANGERS_KEPT_OUT))
    spread = float(strangers.std()) * math.sqrt(1 + 1 / len(strangers))
    return max(-(float(strangers.mean()) + quantile * spread), LEAST_OFFSET)
