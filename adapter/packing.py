"""Convolutions whose weights lie as oneDNN wants them, with the activation in the same pass.

Else oneDNN lays out the weights anew at each call, which is a third of the time of a single image.
These operators of torch are the ones that its own compiler emits.
"""

import platform
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from adapter.precision import has_bfloat16

_ACTIVATIONS: dict[type[nn.Module], str] = {nn.SiLU: "swish", nn.ReLU: "relu"}


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this processor and this torch can: measured on x86 alone."""
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not available or platform.machine() not in ("x86_64", "AMD64"):
        return False
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and has_bfloat16())


def pack(visual: nn.Module) -> int:
    """Replace the convolutions of a tower, in place; returns how many.

    Args:
        visual: on the CPU, for inference only, of a type that `can_pack` allows.
    """
    count = 0
    for parent in list(visual.modules()):
        children = list(parent.named_children())
        for position, (name, child) in enumerate(children):
            if type(child) is nn.Conv2d and _plain(child):
                after = children[position + 1 :] if isinstance(parent, nn.Sequential) else []
                setattr(parent, name, PackedConvolution(child, _take_activation(parent, after)))
                count += 1
    return count


class PackedConvolution(nn.Module):
    """A convolution and the activation after it, "none", "swish" or "relu", for inference."""

    def __init__(self, plain: nn.Conv2d, activation: str) -> None:
        super().__init__()
        padding = [int(each) for each in plain.padding]
        self._how = (padding, list(plain.stride), list(plain.dilation), plain.groups)
        self._weight = torch._C._nn.mkldnn_reorder_conv2d_weight(
            plain.weight.detach().to_mkldnn(), *self._how
        )
        self._bias = None if plain.bias is None else plain.bias.detach()
        self._activation = activation

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W')."""
        outputs: Tensor = torch.ops.mkldnn._convolution_pointwise(
            inputs, self._weight, self._bias, *self._how, self._activation, [], ""
        )
        return outputs


def _plain(convolution: nn.Conv2d) -> bool:
    return convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)


def _take_activation(parent: nn.Module, after: Sequence[tuple[str, nn.Module]]) -> str:
    """Take out the activation that comes next, if it is one that oneDNN applies itself."""
    for name, child in after[:1]:
        found = _ACTIVATIONS.get(type(child))
        if found is not None:
            setattr(parent, name, nn.Identity())
            return found
    return "none"
