"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write a file, replacing what is there, so that no one ever sees a part of it.

    Its folder is made if need be. After an error, what was there still is.

    Args:
        path: of the file.
        content: all of it.
        mode: the file's permission bits; None leaves them to the umask.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    with whole_file(path, mode=mode) as file:
        file.write(content)


@contextlib.contextmanager
def whole_file(path: Path, *, mode: int | None = None) -> Iterator[BinaryIO]:
    """A file to write, piece by piece, that appears under its name when the block ends.

    It replaces what is there; where the block fails, that stays. See `write_whole`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of this process alone: two that write the same file must not write into each other's.
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with unfinished.open("wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    # Windows cannot open a folder, and needs none of this.
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
