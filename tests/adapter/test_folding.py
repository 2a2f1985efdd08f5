"""Batch norm folded away: fewer passes, the same function."""

from __future__ import annotations

import torch
from timm.layers.conv_bn_act import ConvNormAct
from torch import Tensor, nn

from adapter.folding import folded

SAMPLE = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def norms(tower: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in tower.modules())


def stirred(tower: nn.Module) -> nn.Module:
    """With statistics and weights as training leaves them."""
    torch.manual_seed(1)
    for module in tower.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return tower.eval().requires_grad_(False)


def test_it_is_the_same_function_with_fewer_steps() -> None:
    plain = stirred(
        nn.Sequential(
            ConvNormAct(3, 4, 3, act_layer=nn.SiLU),
            nn.Conv2d(4, 5, 1),
            nn.BatchNorm2d(5),
            nn.Flatten(),
        )
    )
    fast = folded(plain, SAMPLE)
    assert norms(plain) == 2, "the tower that was given must stay as it is"
    assert norms(fast) == 0
    torch.testing.assert_close(fast(SAMPLE), plain(SAMPLE), atol=1e-5, rtol=1e-5)


def test_a_tower_without_batch_norm_is_left() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()).eval()
    assert folded(plain, SAMPLE) is plain


class Crossed(nn.Module):
    """Names that suggest what is not so: the norm comes before the convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.bn = nn.BatchNorm2d(3)

    def forward(self, pixels: Tensor) -> Tensor:
        rows: Tensor = self.conv(self.bn(pixels).relu())
        return rows.flatten(1)


def test_a_fold_that_changes_the_features_is_not_used() -> None:
    plain = stirred(Crossed())
    assert folded(plain, SAMPLE) is plain
