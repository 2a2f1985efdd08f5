"""The file that says which adapter is to serve."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from adapter.networks import AdapterFileError
from indexer.sealed import SealBroken, Sealed, read_sealed

USE = "say which adapter is to serve with `xmadapter adapter use`"


@dataclass(frozen=True)
class Pointer:
    """Which adapter is to serve.

    Attributes:
        number: its own.
        record: the checksum of its record.
    """

    number: int
    record: str

    def content(self) -> bytes:
        """What the file holds."""
        return Sealed(asdict(self)).content()


_READER = TypeAdapter(Pointer)


def read_pointer(path: Path) -> Pointer | None:
    """Read the file; None where there is none, and untrained networks are to serve.

    Raises:
        AdapterFileError: it cannot be read, or is damaged.
    """
    try:
        return read_sealed(path, _READER)[0]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AdapterFileError(f"cannot read {path}: {error}") from error
    except SealBroken as error:
        raise AdapterFileError(f"{path} is damaged: {error}: {USE}") from error
