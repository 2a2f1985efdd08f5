"""The file of API keys: whole or refused, changed by one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from adapter.files import sync_folder, write_whole
from service.keys import Key
from service.settings import Settings

NAME = "keys.json"
PRIVATE = 0o600


class KeyFileError(RuntimeError):
    """The file cannot be used; the message says why and what to do."""


class Signature(NamedTuple):
    """Changes whenever the file is replaced."""

    inode: int
    modified: int
    changed: int
    size: int


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    format: Literal[1]
    sha256: str
    keys: tuple[Key, ...]


class KeyFile:
    """The file at a path; it need not be there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, settings: Settings) -> KeyFile:
        """The file that the settings name, else the one in the cache's folder."""
        return cls(settings.keys or settings.cache / NAME)

    def signature(self) -> Signature | None:
        """To tell whether the file has changed; None where there is none.

        Raises:
            KeyFileError: it cannot be told whether it is there.
        """
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unreadable(error) from error
        return Signature(found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)

    def read(self) -> tuple[Key, ...] | None:
        """The keys, oldest first; None where there is no file.

        Raises:
            KeyFileError: it cannot be read, or is damaged.
        """
        try:
            content = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unreadable(error) from error
        return self._parsed(content)

    def add(self, key: Key) -> None:
        """Keep one more key; it is on disk when this returns.

        Raises:
            KeyFileError: the file is damaged, or cannot be written.
        """
        with self._changing():
            self._write([*(self.read() or ()), key])

    def revoke(self, identity: str) -> Key:
        """Forget a key, by its id; what was kept of it.

        The file stays, and the door locked, when that was the last one.

        Raises:
            KeyFileError: there is no such key, or the file is damaged or cannot be written.
        """
        with self._changing():
            keys = self.read() or ()
            gone = [key for key in keys if key.id == identity]
            if not gone:
                known = ", ".join(key.id for key in keys) or "none"
                raise KeyFileError(
                    f"{self.path}: expected the id of a key ({known}), got {identity!r}; "
                    "`xmadapter keys list` shows them"
                )
            self._write([key for key in keys if key.id != identity])
        return gone[0]

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One process at a time reads and replaces the file. The lock's own file stays."""
        lock = self.path.with_name(f"{self.path.name}.lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
            with os.fdopen(descriptor, "rb"):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise KeyFileError(f"the API keys in {self.path} cannot be changed: {error}") from error

    def _write(self, keys: Sequence[Key]) -> None:
        plain = _plain(keys)
        document = {"format": 1, "sha256": _checksum(plain), "keys": plain}
        write_whole(self.path, (json.dumps(document, indent=2) + "\n").encode(), mode=PRIVATE)
        # A revoked key must not come back with a power cut.
        sync_folder(self.path.parent)

    def _parsed(self, content: bytes) -> tuple[Key, ...]:
        try:
            document = _Document.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "its text"
            raise self._damaged(f"{place}: {first['msg']}") from None
        found = _checksum(_plain(document.keys))
        if found != document.sha256:
            raise self._damaged(f"expected the checksum {document.sha256}, got {found}")
        if len({key.id for key in document.keys}) != len(document.keys):
            raise self._damaged("expected each id once")
        return document.keys

    def _damaged(self, what: str) -> KeyFileError:
        return KeyFileError(
            f"the file of API keys {self.path} is damaged, or was edited by hand ({what}): put a "
            "backup back, or remove it and make keys with `xmadapter keys create NAME`"
        )

    def _unreadable(self, error: OSError) -> KeyFileError:
        return KeyFileError(
            f"the file of API keys {self.path} cannot be read: {error}; it must belong to the "
            "user that the service runs as"
        )


def _plain(keys: Sequence[Key]) -> list[dict[str, object]]:
    return [key.model_dump(mode="json") for key in keys]


def _checksum(plain: list[dict[str, object]]) -> str:
    """Tells damage, not malice: whoever can write the file can make a checksum."""
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
