"""Made-up features with the shape of real ones, for caches larger than any data set at hand.

A feature is the unit vector of one mean that all share, plus a class's place, plus a sub-cluster's
place in its class, plus what is its own. The last three are Gaussian under one power-law spectrum
of random directions, so that all overlap: a shot's nearest neighbours are of many classes. Loosely
fitted to what the shipped model makes of CIFAR-10's training pictures (10 classes, 256 numbers):
23 % of the variance lies between the classes; within a class the spectrum has an effective rank of
15; cosines within a class are 0.27 +- 0.25 and between classes 0.01 +- 0.24; 64 clusters leave a
sixth less of a class's variance than of a Gaussian of its covariance; the nearest neighbour is of
the same class for 56 %. Larger towers have a stronger common mean and a flatter spectrum, hence
`CLIP_LIKE`'s; `ISOTROPIC` is harder for every index that looks only nearby.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

BLOCK = 65_536


@dataclass(frozen=True)
class World:
    """How features are spread.

    Attributes:
        name: for rows.
        falloff: p; the j-th direction has the variance j^-p within a sub-cluster.
        steeper: r; classes and sub-clusters differ with j^-(p + r): in few directions, so that
            no classifier tells all of them apart.
        mean: squared length of the mean that all features share; the rest sums to 1.
        between: share of the variance that lies between the classes.
        clustered: share that lies between a class's sub-clusters.
        clusters: sub-clusters a class.
        text_noise: squared length of a class's text feature's own noise, to 1 of its class's place.
    """

    name: str
    falloff: float
    steeper: float
    mean: float
    between: float
    clustered: float
    clusters: int = 8
    text_noise: float = 0.1


CLIP_LIKE = World("like CLIP's", 1.0, 0.75, mean=0.5, between=0.45, clustered=0.1)
ISOTROPIC = World("nearly isotropic", 0.4, 1.0, mean=0.1, between=0.2, clustered=0.05)


@dataclass(frozen=True)
class Crowd:
    """Classes of a world, to draw shots and queries from.

    Attributes:
        world: how features are spread.
        basis: (D, D), rows are the directions, scaled by their standard deviations.
        places: (C, clusters, D), means of the sub-clusters.
        classifier: (C, D) unit text features.
    """

    world: World
    basis: Tensor
    places: Tensor
    classifier: Tensor

    @classmethod
    def of(cls, world: World, classes: int, width: int, seed: int) -> Crowd:
        """Place the classes. The same for the same arguments."""
        generator = torch.Generator().manual_seed(seed)

        def noise(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        directions = torch.linalg.qr(noise(width, width)).Q
        basis = _deviations(world.falloff, width)[:, None] * directions
        steep = _deviations(world.falloff + world.steeper, width)[:, None] * directions
        centres = world.between**0.5 * noise(classes, 1, width)
        places = centres + world.clustered**0.5 * noise(classes, world.clusters, width)
        common, of_texts = world.mean**0.5 * normalize(noise(2, width), dim=1)
        blurred = centres[:, 0] + (world.text_noise * world.between) ** 0.5 * noise(classes, width)
        classifier = normalize(of_texts + blurred @ steep, dim=1)
        places = common + places @ steep
        return cls(world, basis, places, classifier)

    def draw(self, targets: Tensor, seed: int) -> Tensor:
        """(n, D) unit features of pictures of the classes `targets` (n,)."""
        generator = torch.Generator().manual_seed(seed)
        alone = (1 - self.world.between - self.world.clustered) ** 0.5
        features = torch.empty(len(targets), len(self.basis))
        for start, block in _blocks(targets):
            cluster = torch.randint(self.world.clusters, block.shape, generator=generator)
            own = torch.randn(len(block), len(self.basis), generator=generator)
            found = torch.addmm(self.places[block, cluster], own, self.basis, alpha=alone)
            features[start : start + len(block)] = normalize(found, dim=1)
        return features


def balanced(shots: int, classes: int, seed: int) -> Tensor:
    """(shots,) classes in random order, each as often as any other."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.arange(shots) % classes)[torch.randperm(shots, generator=generator)]


def _deviations(falloff: float, width: int) -> Tensor:
    """(D,): of the directions; their squares sum to 1."""
    variances = torch.arange(1, width + 1).float() ** -falloff
    return (variances / variances.sum()).sqrt()


def _blocks(rows: Tensor) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(rows), BLOCK):
        yield start, rows[start : start + BLOCK]
