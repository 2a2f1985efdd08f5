"""Files of matrices, whoever made them."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from adapter import tensor_file
from adapter.tensor_file import TensorFileError, parse, read_content

MATRIX = torch.arange(6.0).view(2, 3)
CONTENT = save({"a": MATRIX, "b": -MATRIX}, {"name": "x"})


def made(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(shape: Any, size: int, dtype: str = "F32") -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}


def test_tensors_and_metadata_are_read_back() -> None:
    tensors, metadata = parse(CONTENT)
    assert metadata == {"name": "x"}
    assert torch.equal(tensors["a"], MATRIX)
    assert torch.equal(tensors["b"], -MATRIX)
    assert parse(made({}))[1] == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a header of at most"),
        ((2**63).to_bytes(8, "little") + b"{}", "got one of 9,223,372,036,854,775,808"),
        (made(b" " * 2**24 + b"{}"), "a header of at most 16,777,216 bytes"),
        (made(b"[" * 100_000), "expected a header in JSON"),
        (made(b"[]"), "with the names of tensors"),
        (made({"a": [1]}), "not a safetensors file"),
        (made(entry([2**40, 2**40], 0)), "not a safetensors file"),
        (made(entry([0, 2**64 - 1], 0)), "not a safetensors file"),
        (made(entry([-1, 4], 16), bytes(16)), "not a safetensors file"),
        (made(entry([2, 2], 16), bytes(8)), "not a safetensors file"),
        (made(entry([2], 1, "F4"), bytes(1)), "type F32 alone, got .'F4'"),
        (made(entry([4], 4, "I8"), bytes(4)), "type F32 alone"),
        (made({"__metadata__": "x"}), "not a safetensors file"),
    ],
)
def test_hostile_content_is_told(content: bytes, said: str) -> None:
    with pytest.raises(TensorFileError, match=said):
        parse(content)


@settings(deadline=None, max_examples=200)
@given(
    places=st.lists(st.integers(0, len(CONTENT) - 1), min_size=1, max_size=3),
    value=st.sampled_from(sorted({*b'019[]{}",:-e', 0, 255})),
)
def test_changed_bytes_are_read_or_told(places: list[int], value: int) -> None:
    changed = bytearray(CONTENT)
    for at in places:
        changed[at] = value
    try:
        tensors, _ = parse(bytes(changed))
    except TensorFileError:
        return
    assert all(tensor.dtype == torch.float32 for tensor in tensors.values())


def test_no_more_than_the_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(11))
    monkeypatch.setattr(tensor_file, "MAX_BYTES", 10)
    with pytest.raises(TensorFileError, match="at most 10 bytes"):
        read_content(path)
    path.write_bytes(bytes(10))
    assert read_content(path) == bytes(10)


def test_a_file_of_terabytes_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(2**42)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TensorFileError, match="at most"):
        read_content(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none"):
        with pytest.raises(TensorFileError):
            read_content(path)
