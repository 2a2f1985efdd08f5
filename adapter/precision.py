"""What the image tower calculates in."""

from typing import Literal, get_args

import torch

Precision = Literal["auto", "fp32", "fp16", "bf16"]

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def chosen_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The type that `precision` means on a device.

    "auto" is fp16 on CUDA, bf16 on a processor with instructions for it (AVX512-BF16 or AMX), where
    it halves the time of both convolutions and matrix products, and fp32 elsewhere. It depends on
    nothing else, so that a machine always gives the same answers.

    Raises:
        ValueError: no such precision.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"expected precision auto, {', '.join(DTYPES)}, got {precision!r}")
    if precision != "auto":
        return DTYPES[precision]
    if device.type == "cuda":
        return torch.float16
    fast = device.type == "cpu" and has_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 numbers itself, and does not emulate it."""
    tell = getattr(torch.cpu, "get_capabilities", None)
    if tell is None:  # torch before it told all capabilities in one
        return bool(torch.cpu._is_avx512_bf16_supported())
    facts = tell()
    return bool(facts.get("avx512_bf16") or facts.get("amx_bf16"))
