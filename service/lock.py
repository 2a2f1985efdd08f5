"""One build a folder, and one training: advisory locks on files that name who holds them.

Services need none: several may share a cache, and others may teach it meanwhile.

The system drops the lock with the process, however it ends; the file stays.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

LOCK_FILE = "build.lock"
TRAINING_LOCK_FILE = "train.lock"


class CacheLocked(RuntimeError):  # noqa: N818 (reads as what happened)
    """Another process does the same there already."""


@contextmanager
def build_lock(folder: Path, purpose: str) -> Iterator[None]:
    """Hold the lock of a folder that is being filled; it is made where there is none.

    Args:
        folder: of a cache, or of results.
        purpose: what others are told: "xmadapter index build".

    Raises:
        CacheLocked: another process has it; the message says which.
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _held(
        folder / LOCK_FILE,
        purpose,
        f"the folder {folder} is being filled by",
        "one at a time; wait for that one, stop it, or choose another folder",
    ):
        yield


@contextmanager
def training_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a cache's adapters; a service may have the cache itself meanwhile.

    Args:
        folder: of the adapters; made where there is none, in a folder that there is.

    Raises:
        CacheLocked: another process has it; the message says which.
        OSError: the folder cannot be written.
    """
    folder.mkdir(exist_ok=True)
    with _held(
        folder / TRAINING_LOCK_FILE,
        "xmadapter train",
        f"an adapter in {folder} is being trained by",
        "one at a time; wait for that one, or stop it",
    ):
        yield


@contextmanager
def _held(path: Path, purpose: str, what: str, advice: str) -> Iterator[None]:
    """Hold a lock; a refusal says what is in use, by whom, and what to do."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CacheLocked(f"{what} {_holder_in(file.read())}: {advice}") from None
        file.truncate()
        json.dump(_holder(purpose), file)
        file.flush()
        yield


def _holder(purpose: str) -> dict[str, str | int]:
    return {
        "purpose": purpose,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _holder_in(text: str) -> str:
    try:
        holder = json.loads(text)
        return (
            f"{holder['purpose']} (process {holder['pid']} on {holder['host']}, "
            f"since {holder['since']})"
        )
    except (ValueError, KeyError, TypeError):  # it is being written just now
        return "another process"
