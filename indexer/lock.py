"""One process at a time: what is held in memory must not fall behind the file."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from indexer.database import translated
from indexer.errors import CacheBusy

FILE = "cache.lock"


class FolderLock:
    """Held until `release`, or until the process ends, however it ends.

    It is SQLite's own lock on an empty file, so that it works wherever the store does.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock of a cache's folder.

        Raises:
            CacheBusy: another process has it, or this one has already.
        """
        path = folder / FILE
        with translated(path):
            self._connection = sqlite3.connect(
                path, timeout=0, isolation_level=None, check_same_thread=False
            )
            try:
                self._connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                self._connection.close()
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                raise CacheBusy(
                    f"the cache {folder} is open in another process: stop that one first, or "
                    "talk to it over HTTP"
                ) from error

    def release(self) -> None:
        """Let another have it."""
        with contextlib.suppress(sqlite3.ProgrammingError):
            self._connection.close()
