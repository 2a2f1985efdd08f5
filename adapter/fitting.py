"""Which numbers a method answers with, found on the shots themselves."""

from __future__ import annotations

from adapter.fit import Fit, Method
from adapter.mixture import fit_mixture
from adapter.networks import Networks
from adapter.selection import select
from adapter.support import SupportSet


def fit(support: SupportSet, networks: Networks, method: Method = "full") -> Fit:
    """Fit all numbers of `method` to the shots, by leave-one-out.

    Args:
        support: the shots of all classes, on any device.
        networks: MetaNet and Img2TxtNet, on the same device.
        method: `paper` or `full`.
    """
    if method == "full":
        return fit_mixture(support, networks)
    chosen = select(support, networks)
    return Fit(
        method="paper",
        image_sharpness=chosen.image_sharpness,
        text_sharpness=chosen.text_sharpness,
        zero_shot_weight=1.0,
        image_weight=chosen.cache_weight * chosen.image_ratio,
        text_weight=chosen.cache_weight * (1 - chosen.image_ratio),
        shots=len(support.keys),
        accuracy=chosen.accuracy,
    )
