"""What the image tower calculates in."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from adapter import precision
from adapter.precision import chosen_dtype, has_bfloat16

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_goes_by_device_and_processor(
    native: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda: native)
    assert chosen_dtype("auto", CPU) == expected
    assert chosen_dtype("auto", CUDA) == torch.float16
    assert chosen_dtype("auto", torch.device("mps")) == torch.float32


def test_what_is_asked_for_is_given() -> None:
    for device in (CPU, CUDA):
        assert chosen_dtype("fp32", device) == torch.float32
        assert chosen_dtype("fp16", device) == torch.float16
        assert chosen_dtype("bf16", device) == torch.bfloat16


def test_no_such_precision() -> None:
    wrong: Any = "fp8"
    with pytest.raises(ValueError, match="expected precision auto, fp32, fp16, bf16, got 'fp8'"):
        chosen_dtype(wrong, CPU)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx512_bw": True}, False)],
)
def test_instructions_for_bfloat16(
    facts: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: facts, raising=False)
    assert has_bfloat16() is expected


def test_a_torch_that_tells_only_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert has_bfloat16() is True
