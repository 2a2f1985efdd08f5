"""Convolutions with weights laid out for oneDNN."""

from __future__ import annotations

import platform

import pytest
import torch
from torch import nn

from adapter import packing
from adapter.packing import PackedConvolution, can_pack, pack

needed = pytest.mark.skipif(not can_pack(torch.float32), reason="not a processor that it is for")


@needed
@pytest.mark.parametrize("activation", [nn.SiLU, nn.ReLU, nn.GELU])
def test_packed_convolutions_give_the_same_numbers(activation: type[nn.Module]) -> None:
    torch.manual_seed(0)
    tower = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        activation(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, dilation=1),
        nn.Conv2d(8, 4, 1),
    ).requires_grad_(False)
    pixels = torch.randn(3, 3, 16, 16).to(memory_format=torch.channels_last)
    plain = tower(pixels)
    assert pack(tower) == 3
    torch.testing.assert_close(tower(pixels), plain, atol=1e-5, rtol=1e-5)
    taken = isinstance(tower[1], nn.Identity)
    assert taken == (activation is not nn.GELU)


@needed
def test_only_what_is_certain_is_packed() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.act = nn.ReLU()  # may come anywhere
            self.reflected = nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect")
            self.named = nn.Conv2d(3, 3, 3, padding="same")

    block = Block().requires_grad_(False)
    assert pack(block) == 1
    assert isinstance(block.conv, PackedConvolution)
    assert isinstance(block.act, nn.ReLU)


def test_where_it_is_not_measured_it_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not can_pack(torch.float16)
    with monkeypatch.context() as patch:
        patch.setattr(packing, "has_bfloat16", lambda: False)
        assert not can_pack(torch.bfloat16)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert not can_pack(torch.float32)
