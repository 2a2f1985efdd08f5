"""Batch norm folded into the convolutions before it: one pass over the numbers less for each."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Of features of unit scale, summed in another order.
TOLERANCE = 1e-3


def folded(visual: nn.Module, sample: Tensor) -> nn.Module:
    """A copy of an image tower without its batch norms, or the tower itself where it has none.

    What follows a convolution cannot be read off a module, only guessed from names; so the copy is
    tried, and left if it is not the same function.

    Args:
        visual: in evaluation mode, float32.
        sample: (B, 3, H, W) normalised pixels to try both with.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in visual.modules()):
        return visual
    candidate = copy.deepcopy(visual)
    for parent in list(candidate.modules()):
        for convolution, norm in list(_pairs(parent)):
            _fold(parent, convolution, norm)
    with torch.no_grad():
        return candidate if _same(candidate(sample), visual(sample)) else visual


def _pairs(parent: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of convolutions of a module and of the batch norms that seem to follow them."""
    children = dict(parent.named_children())
    following = dict(zip(children, list(children)[1:], strict=False))
    for name, child in children.items():
        other = following.get(name, "")
        if type(child) is nn.Conv2d and isinstance(children.get(other), nn.BatchNorm2d):
            yield name, other


def _fold(parent: nn.Module, convolution: str, norm: str) -> None:
    plain, statistics = getattr(parent, convolution), getattr(parent, norm)
    fused = fuse_conv_bn_eval(plain, statistics).requires_grad_(False)
    # timm's batch norm holds the activation after it.
    activation = getattr(statistics, "act", nn.Identity())
    setattr(parent, convolution, nn.Sequential(fused, activation))
    setattr(parent, norm, nn.Identity())


def _same(ours: Tensor, theirs: Tensor) -> bool:
    return isinstance(ours, Tensor) and torch.allclose(
        nn.functional.normalize(ours, dim=-1),
        nn.functional.normalize(theirs, dim=-1),
        atol=TOLERANCE,
        rtol=0,
    )
