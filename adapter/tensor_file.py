"""Files of named float32 matrices, read as what they are: content that anybody may have made.

The content is held in memory, not mapped: else a file that is overwritten or cut while its tensors
are in use would change them, or end the process.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

MAX_BYTES = 2**30
"""Of a file. Residuals of 100,000 shots, the most that training makes, are 0.4 GB at D = 1024."""
MAX_HEADER_BYTES = 2**24
"""Of the names, shapes and facts in it; the ids of 100,000 shots take 4 MB."""
DTYPE = "F32"
METADATA = "__metadata__"


class TensorFileError(ValueError):
    """Not such a file, or one of a size that cannot be."""


def read_content(path: Path) -> bytes:
    """All bytes of a file of at most `MAX_BYTES`.

    Raises:
        TensorFileError: there is none, it cannot be read, or it is larger.
    """
    try:
        facts = path.stat()
        # A pipe would be waited for, and a device has no end.
        if not stat.S_ISREG(facts.st_mode):
            raise TensorFileError("expected a file, got a folder or a device")
        if facts.st_size > MAX_BYTES:
            raise TensorFileError(
                f"expected at most {MAX_BYTES:,} bytes, got {facts.st_size:,}: it is no such file"
            )
        with path.open("rb") as file:
            return file.read(facts.st_size)
    except OSError as error:
        raise TensorFileError(str(error)) from error


def parse(content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a safetensors file by name, all of them float32, and its metadata.

    Raises:
        TensorFileError: the content is not that.
    """
    header = _header(content)
    metadata = header.pop(METADATA, {})
    try:
        types = {str(facts["dtype"]) for facts in header.values()}
        if types - {DTYPE}:
            raise TensorFileError(f"expected tensors of type {DTYPE} alone, got {sorted(types)}")
        return safetensors.torch.load(content), dict(metadata)
    # torch raises the last two for a shape that it cannot count.
    except (SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise TensorFileError(f"not a safetensors file: {error}") from error


def _header(content: bytes) -> dict[str, Any]:
    size = int.from_bytes(content[:8], "little")
    if not 2 <= size <= min(len(content) - 8, MAX_HEADER_BYTES):
        raise TensorFileError(
            f"expected a safetensors file: a header of at most {MAX_HEADER_BYTES:,} bytes that is "
            f"all there, got one of {size:,} in a file of {len(content):,}"
        )
    try:
        header = json.loads(content[8 : 8 + size])
    except (ValueError, RecursionError) as error:
        raise TensorFileError(f"expected a header in JSON: {error}") from error
    if not isinstance(header, dict):
        raise TensorFileError("expected a header with the names of tensors, got none")
    return header
