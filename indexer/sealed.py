"""Small documents that tell whether they are as they were written: JSON with its own checksum.

The bytes of a document are a function of its facts, and only those bytes are taken for it: a
change anywhere is told, in its white space too. It finds accidents; it keeps no forger out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

Kind = TypeVar("Kind")

CHECKSUM = "checksum"
MAX_BYTES = 2**20


class SealBroken(ValueError):  # noqa: N818 (reads as what happened)
    """A document is not one, or is not as it was written."""


@dataclass(frozen=True)
class Sealed:
    """A document.

    Attributes:
        facts: what JSON can say, by name; finite numbers only.
    """

    facts: Mapping[str, Any]

    @property
    def checksum(self) -> str:
        """Hex sha256 of the facts, whatever their order."""
        text = json.dumps(self.facts, sort_keys=True, allow_nan=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def content(self) -> bytes:
        """What a file of it holds: the facts in their order, then the checksum."""
        body = {**self.facts, CHECKSUM: self.checksum}
        return (json.dumps(body, indent=2, allow_nan=False) + "\n").encode()


def read_sealed(path: Path, reader: TypeAdapter[Kind]) -> tuple[Kind, str]:
    """Read a document of some kind from its file.

    Args:
        path: of the file.
        reader: of that kind; slow to make, so make it once.

    Returns:
        It, and its checksum.

    Raises:
        OSError: the file cannot be read.
        SealBroken: it is not as it was written, or of another kind.
    """
    with path.open("rb") as file:
        sealed = unseal(file.read(MAX_BYTES + 1))
    try:
        return reader.validate_python(sealed.facts), sealed.checksum
    except ValidationError as error:
        first = error.errors()[0]
        raise SealBroken(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def unseal(content: bytes) -> Sealed:
    """Read what `Sealed.content` gave.

    Raises:
        SealBroken: it is something else.
    """
    if len(content) > MAX_BYTES:
        raise SealBroken(f"expected at most {MAX_BYTES:,} bytes, got more")
    try:
        facts = json.loads(content)
        if not isinstance(facts, dict) or facts.pop(CHECKSUM, None) is None:
            raise SealBroken("expected JSON with a checksum, got none")
        found = Sealed(facts)
        if found.content() != content:
            raise SealBroken("its content is not what its checksum was made of")
    except RecursionError:
        raise SealBroken("expected flat JSON, got deep nesting") from None
    except SealBroken:
        raise
    except ValueError as error:
        raise SealBroken(f"expected JSON with a checksum: {error}") from error
    return found
