"""Fitting the head's numbers off the answering path.

`Cache.support()` takes a snapshot, `CacheSnapshot.fit()` does all that is slow, on any thread,
and `Cache.install()` puts the result to use, although the cache may have changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from adapter.fit import Fit, Method
from adapter.fitting import fit
from adapter.gaussian import has_scatter
from adapter.head import Head
from adapter.networks import Networks
from adapter.support import SupportSet


@dataclass(frozen=True)
class Fitted:
    """A head for the shots of `version` with the keys of `networks`, on the CPU."""

    head: Head
    version: int
    networks: Networks

    @property
    def fit(self) -> Fit:
        """The numbers."""
        return self.head.fit


@dataclass(frozen=True)
class CacheSnapshot:
    """What a fit needs, apart from the cache, which may go on changing.

    Attributes:
        made: gives all shots, on the CPU; on any thread.
        version: the cache's, then.
        networks: MetaNet and Img2TxtNet, on the CPU.
        method: whose numbers are fitted.
    """

    made: Callable[[], SupportSet]
    version: int
    networks: Networks
    method: Method

    @cached_property
    def support(self) -> SupportSet:
        """All shots."""
        return self.made()

    def fit(self) -> Fitted:
        """Choose the numbers by leave-one-out on the shots. On any thread.

        On the CPU, so that the one thread that owns the accelerator is not held up.
        """
        with torch.no_grad():
            return self.head(fit(self.support, self.networks, self.method))

    def suits(self, numbers: Fit) -> bool:
        """Whether these numbers, fitted to other shots, can be used for the shots here.

        Those of a covariance cannot where there is none: its inverse would be infinite.
        """
        return not numbers.gaussian_ridges or has_scatter(self.support)

    def head(self, numbers: Fit) -> Fitted:
        """A head with numbers that there are already, and that suit the shots."""
        head = Head.build(self.support, numbers, self.networks.learned.whitening)
        return Fitted(head, self.version, self.networks)


def moved(head: Head, device: torch.device) -> Head:
    """A head whose covariance is on `device`; `Head.updated` brings the rest."""
    if head.distances is None:
        return head
    precision = head.distances.precision.to(device)
    return replace(head, distances=replace(head.distances, precision=precision))
