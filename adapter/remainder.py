"""What shots that an inexact index did not find add to the evidence, in the mean."""

from __future__ import annotations

import torch
from torch import Tensor

from adapter.affinity import affinity


def count_by_class(classes: Tensor, class_count: int, like: Tensor) -> Tensor:
    """(B, C): how many of each query's hits are of each class.

    Args:
        classes: (B, k) int64, of the hits.
        class_count: C.
        like: whose type and device it has.
    """
    counts = like.new_zeros(len(classes), class_count)
    return counts.scatter_add_(1, classes, like.new_ones(()).expand(classes.shape))


def evidence_of_the_rest(
    similarity: Tensor, classes: Tensor, sums: Tensor, counts: Tensor, sharpness: float
) -> Tensor:
    """(B, C): the affinities of the shots that were not found, as if all of a class were alike.

    The cosines of all of a class's shots sum to K_c f mu_c, whether an index finds them or not.
    What the found ones leave of that sum gives the mean of the others, exactly; their affinity is
    taken at that mean. By Jensen's inequality that is never too much, and it is little too little
    where the sharpness is low or the cosines of what is left lie close together. Leaving them out
    would be too little by all of it: exp(-beta (1 - s)) has a long tail.

    Args:
        similarity: (B, k) cosines of the hits.
        classes: (B, k) int64, of the hits.
        sums: (B, C), of the cosines of all of each class's shots.
        counts: (C,) shots of each class.
        sharpness: beta.
    """
    found = count_by_class(classes, sums.shape[1], similarity)
    missing = counts - found
    cosines = (sums - torch.zeros_like(sums).scatter_add_(1, classes, similarity)) / missing.clamp(
        min=1
    )
    # Rounding, and keys that training moved, must not place them nearer than the last one found.
    furthest = similarity.amin(1, keepdim=True)
    return missing * affinity(torch.minimum(cosines, furthest), sharpness)
