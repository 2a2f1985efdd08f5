"""The mixture where leaving a shot out leaves nothing to fit on.

With one shot a class no shot has a fellow, and with one taught class no shot has a rival. What is
left is the Gaussian term with an identity covariance: distances to the class means, in units of
what is typical between pictures that do not belong together or, failing these, of those that do.
"""

from __future__ import annotations

import torch

from adapter.affinity import centred, zero_shot_logits
from adapter.fit import Fit
from adapter.gaussian import half_distances, identity_precision, strangers
from adapter.support import SupportSet

GAUSSIAN_WEIGHT = 1.0
LEAST_SPREADS = 1.5
"""So many spreads nearer than strangers a query must be, to be likelier taught than not."""
CACHE_WEIGHT = 1.0
"""Tip-Adapter's own start of alpha: the shots are part of the answer, and of its reasons."""
ACCEPTED = 0.8
"""The share of a lone class's own shots that its Gaussian term speaks for."""


def fit_single_shots(support: SupportSet, zero_shot_weight: float) -> Fit:
    """Numbers for several classes of one shot each.

    Args:
        support: with shots of two classes at least.
        zero_shot_weight: calibrated on the shots; only names of taught classes are weighed by it.
    """
    known = strangers(support)
    if known is None:
        raise ValueError("expected shots of two classes or more, got one: use fit_lone_class")
    mean, spread = known
    some_untaught = bool((support.counts == 0).any())
    threshold = mean + LEAST_SPREADS * spread * some_untaught
    return Fit(
        method="full",
        zero_shot_weight=zero_shot_weight,
        image_weight=CACHE_WEIGHT,
        text_weight=0.0,
        gaussian_weight=GAUSSIAN_WEIGHT,
        # Half the squared distance of two unit vectors is one less their cosine.
        gaussian_origin=(1 - threshold) / spread,
        shots=len(support.keys),
    )


def fit_lone_class(support: SupportSet) -> Fit:
    """Numbers for one taught class among others that have a name alone.

    No shot says how unlike this class the others look. So its own shots set the scale: the
    Gaussian term is 0 at the distance within which `ACCEPTED` of them are from the mean of the
    rest, and the offset lifts a typical one to even odds against the best of the other names.
    One shot has no rest: it adds its cache evidence to the zero-shot scores, and nothing else.
    """
    count = len(support.keys)
    plain = Fit(method="full", image_weight=CACHE_WEIGHT, text_weight=0.0, shots=count)
    label = int(support.targets[0])
    if count == 1 or support.class_count == 1:
        return plain
    distances = half_distances(
        support.keys, support.means[label][None], identity_precision(support)
    )[:, 0]
    # Without itself, a shot is K/(K-1) times as far from the mean.
    distances = distances * (count / (count - 1)) ** 2
    logits = centred(zero_shot_logits(support.keys, support.classifier, support.logit_scale))
    others = torch.arange(support.class_count, device=logits.device) != label
    lead = logits[:, others].logsumexp(1) - logits[:, label]
    spread = max(float(distances.std(correction=0)), 1e-3 * float(distances.mean()), 1e-6)
    return Fit(
        method="full",
        image_weight=CACHE_WEIGHT,
        text_weight=0.0,
        gaussian_weight=GAUSSIAN_WEIGHT / spread,
        gaussian_origin=float(distances.quantile(ACCEPTED)),
        offsets={support.labels[label]: float(lead.median())},
        shots=count,
    )
