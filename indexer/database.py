"""One SQLite file: how it is opened and made, and its errors in the product's words."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from adapter.files import sync_folder
from indexer.errors import (
    CacheBusy,
    CacheDamaged,
    CacheError,
    CacheFull,
    CacheMismatch,
    CacheMissing,
    CacheUnwritable,
)
from indexer.schema import (
    APPLICATION_ID,
    CHECKED,
    SCHEMA,
    SCHEMA_VERSION,
    declared,
    expected,
)

BUSY_SECONDS = 10.0
LARGE_PAGES = 16_384
"""Pages (64 MB) from which on a file is not checked whole when it is opened."""
PAGE_BYTES = 8192
"""Three keys of 512 numbers fill such a page; one of half the size would be half empty."""


class Database:
    """Two connections, one that writes and one that reads, each behind a lock: for any thread.

    Several processes may have the file open. What one of them has committed, the others see in
    their next question.

    Raises, from every method: CacheDamaged, CacheBusy or CacheUnwritable instead of sqlite3's.
    """

    def __init__(
        self,
        path: Path,
        upgrade: Callable[[sqlite3.Connection, Path], None] = lambda connection, path: None,
    ) -> None:
        """Open the file at `path`; read-only where the disk is.

        Args:
            path: of the file.
            upgrade: brings one that an older program made up to date, where it can.

        Raises:
            CacheMissing: there is none.
            CacheDamaged: it is truncated, overwritten, or something else.
            CacheMismatch: an older or newer program made it.
        """
        self.path = path
        self._writing = threading.RLock()
        self._reading = threading.RLock()
        self._writer_thread: int | None = None
        self._lost: BaseException | None = None
        if not path.is_file():
            raise CacheMissing(f"no cache at {path.parent}: expected a file {path.name} in it")
        if not path.stat().st_size:
            # SQLite would take it for a beginning, and delete the log, which may hold changes.
            raise damaged(path, "it is empty")
        with contextlib.ExitStack() as undo, translated(path):
            self._writer = _opened(path)
            undo.callback(self._writer.close)
            self._check(upgrade)
            self._reader = _opened(path)
            undo.pop_all()

    @classmethod
    def create(cls, path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
        """Make the file at `path` with empty tables, and whatever `fill` puts into them.

        It appears under its name in one step: a process that dies meanwhile leaves no file that
        would look damaged later, and of two that create it the first wins.

        Raises:
            FileExistsError: there is one already.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}.new")
        try:
            with translated(path), contextlib.closing(_connected(unfinished)) as connection:
                connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
                connection.executescript(SCHEMA)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                connection.execute("BEGIN IMMEDIATE")
                fill(connection)
                connection.execute("COMMIT")
            # Unlike a rename, a link does not replace what is there.
            path.hardlink_to(unfinished)
            sync_folder(path.parent)
        finally:
            unfinished.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file. What was acknowledged is on disk already."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for questions; within `writing` it sees what that has written so far."""
        if self._writer_thread == threading.get_ident():
            with translated(self.path):
                yield self._writer
            return
        with self._reading, translated(self.path):
            yield self._reader

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Within it, all of this thread's `reading` sees one state, whatever others write."""
        with self.reading() as connection:
            if connection.in_transaction:
                yield
                return
            connection.execute("BEGIN")
            try:
                yield
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection, in a transaction that is on disk (fsync) when this returns.

        Within another `writing` of this thread it is a part of that one: it is undone alone where
        it fails, and is on disk with all the others when the outermost returns.
        """
        with self._writing, translated(self.path):
            inner = self._writer_thread is not None
            begin, end, undo = _SAVEPOINT if inner else _TRANSACTION
            if inner:
                self._check_transaction()
            self._writer.execute(begin)
            if not inner:
                self._writer_thread, self._lost = threading.get_ident(), None
            try:
                yield self._writer
                self._check_transaction()
                self._writer.execute(end)
            except BaseException as error:
                if self._writer.in_transaction:
                    for statement in undo:
                        self._writer.execute(statement)
                elif self._lost is None:
                    self._lost = error
                raise
            finally:
                if not inner:
                    self._writer_thread = None

    def _check_transaction(self) -> None:
        """Raise what ended the transaction, where SQLite ended all of it (a full disk, for one)."""
        if not self._writer.in_transaction:
            raise self._lost or sqlite3.OperationalError("the transaction has ended")

    def maintain(self, statement: str) -> None:
        """Run one statement that no transaction may hold, `VACUUM` for one."""
        with self._writing, translated(self.path):
            self._writer.execute(statement).fetchall()

    def check_pages(self) -> None:
        """Compare all indices with their tables, and look at every page of these.

        Of a large file the pages that no table uses, and those of thumbnails and views, are left
        out: reading them would hold up its opening.

        Raises:
            CacheDamaged: they differ, or a page is not what it should be.
        """
        with self.reading() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            parts = [f"('{table}')" for table in CHECKED] if pages > LARGE_PAGES else [""]
            for part in parts:
                found = connection.execute(f"PRAGMA integrity_check{part}").fetchone()[0]
                if found != "ok":
                    raise damaged(self.path, f"its pages are not in order{part}: {found}")

    def _check(self, upgrade: Callable[[sqlite3.Connection, Path], None]) -> None:
        """Tell a cache from an empty, foreign, older or newer file."""
        application = self._writer.execute("PRAGMA application_id").fetchone()[0]
        if application != APPLICATION_ID:
            raise CacheDamaged(
                f"{self.path} is not a cache: it is empty, was overwritten, or belongs to another "
                "program. Restore it from a backup, or move it away to begin a new cache"
            )
        upgrade(self._writer, self.path)
        schema = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if schema != SCHEMA_VERSION:
            raise CacheMismatch(
                f"{self.path} has schema {schema}, this program reads {SCHEMA_VERSION}: use the "
                "program that made it, or build it again"
            )
        if declared(self._writer) != expected():
            raise damaged(self.path, "it declares other tables than a cache has")


_TRANSACTION = ("BEGIN IMMEDIATE", "COMMIT", ("ROLLBACK",))
_SAVEPOINT = ("SAVEPOINT part", "RELEASE part", ("ROLLBACK TO part", "RELEASE part"))


def _opened(path: Path) -> sqlite3.Connection:
    """A connection that is set up; one that only reads where the disk lets nobody write."""
    connection = _connected(path)
    try:
        _set_up(connection)
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise
        return _read_only(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _read_only(path: Path) -> sqlite3.Connection:
    log = path.with_name(path.name + "-wal")
    # SQLite cannot make the files beside a log that it needs to read; without a log it needs none.
    option = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
    uri = f"{path.absolute().as_uri()}?{option}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # What is erased is overwritten, not only unlinked from its page.
    connection.execute("PRAGMA secure_delete = ON")
    # Else a damaged cell would be read as far as it goes.
    connection.execute("PRAGMA cell_size_check = ON")


_DAMAGED = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    # The program's own statements are right; the file declares something else than it should.
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_MISMATCH,
    # They break no rule of a sound file either.
    sqlite3.SQLITE_CONSTRAINT,
}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNWRITABLE = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn sqlite3's errors about the file into this package's; programming errors pass."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        cause = _translate(path, error)
        if cause is None:
            raise
        raise cause from error
    except UnicodeDecodeError as error:
        # In an error of SQLite's own that quotes the file.
        raise damaged(path, f"it was overwritten ({error})") from error


def damaged(path: Path, reason: str) -> CacheDamaged:
    """What to say of a file that is not as it was written."""
    return CacheDamaged(
        f"{path} is damaged: {reason}. Restore it from a backup, or move it away to begin a new "
        "cache"
    )


def _translate(path: Path, error: sqlite3.DatabaseError) -> CacheError | None:
    # The low byte is the kind, the rest says which call it was.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # Python's own error about a text, which comes without a code.
    if code in _DAMAGED or str(error).startswith("Could not decode"):
        return damaged(path, f"it was truncated or overwritten ({error})")
    if code in _BUSY:
        return CacheBusy(f"{path} is in use by another process ({error})")
    if code == sqlite3.SQLITE_FULL:
        return CacheFull(f"the disk of {path} is full ({error})")
    if code in _UNWRITABLE:
        return CacheUnwritable(f"{path} cannot be read or written ({error})")
    return None
