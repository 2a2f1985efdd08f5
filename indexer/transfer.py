"""A cache into one file and out of it again: `xmadapter cache export` and `import`.

Both take little memory, however large the cache is. What is exported is one moment of it, also
while a service has it open; what is imported appears in one step, after all of it was checked.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from adapter.files import sync_folder
from indexer.adapters import CURRENT, FOLDER, Adapters
from indexer.archive import (
    FORMAT,
    FORMAT_VERSION,
    Manifest,
    Progress,
    part_of,
    read_archive,
    write_archive,
)
from indexer.database import translated
from indexer.errors import ArchiveError, CacheDamaged, CacheFull, CacheMismatch, CacheUnwritable
from indexer.reader import FILE, Reader
from indexer.soundness import Finding
from indexer.store import Store
from indexer.verification import verify_files

PAGES = 1024
"""Copied at a time."""


def export_cache(
    cache: Path,
    file: BinaryIO,
    *,
    history: bool = True,
    scratch: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> Manifest:
    """Write a cache, its history and its adapters into a file.

    Left out are API keys, which belong to a service, and what can be made again.

    Args:
        cache: its folder; a service may have it open.
        file: to write to.
        history: whether versions before the last, shots that are in none since, and the answers
            under idempotency keys come along.
        scratch: a folder on a disk that has room for a copy; the system's own, if None.
        progress: told of the bytes.

    Raises:
        CacheMissing: there is none.
        CacheDamaged: it is not as it was written; nothing was exported.
        CacheError, OSError: it cannot be read, or the copy not be written.
    """
    with tempfile.TemporaryDirectory(prefix="xmadapter-export-", dir=scratch) as name:
        staging = Path(name)
        _copy_store(cache, staging, history=history)
        _copy_adapters(cache, staging)
        _check(staging, cache)
        _settle(staging)
        manifest = _described(staging)
        write_archive(file, manifest, staging, progress)
        return manifest


def import_cache(
    file: BinaryIO, cache: Path, *, progress: Progress = lambda done, total: None
) -> Manifest:
    """Make a cache of what `export_cache` wrote: all of it, or nothing.

    Args:
        file: to read, to its end.
        cache: a folder that is not there yet, or is empty.
        progress: told of the bytes.

    Raises:
        ArchiveError: it is none, is damaged, or there is something in the folder.
        CacheFull: there is no room for it.
        CacheError, OSError: it cannot be written.
    """
    target = cache.resolve()
    _refuse_filled(target, cache)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.with_name(f"{target.name}.{uuid.uuid4().hex}.import")
    staging.mkdir()
    try:
        manifest = read_archive(file, staging, lambda found: _check_room(found, target), progress)
        _check_import(staging, manifest)
        _settle(staging)
        for path in (*staging.rglob("*"), staging):
            _sync(path)
        _refuse_filled(target, cache)
        # Onto an empty folder too; it fails where something has come into that one.
        staging.replace(target)
        sync_folder(target.parent)
    except (sqlite3.Error, CacheDamaged, CacheMismatch) as error:
        raise ArchiveError(f"the archive holds a cache that cannot be opened: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


def _copy_store(cache: Path, staging: Path, *, history: bool) -> None:
    path = staging / FILE
    with contextlib.closing(Reader(cache)) as reader, reader.snapshot(), reader.source() as source:
        # The snapshot begins with the first question; within it the copy need not begin again
        # when others write.
        source.connection.execute("SELECT max(version) FROM versions").fetchone()
        with translated(path), contextlib.closing(sqlite3.connect(path)) as copy:
            source.connection.backup(copy, pages=PAGES)
            copy.execute("PRAGMA secure_delete = ON")
            copy.execute("DELETE FROM derived_files")
            if not history:
                copy.execute("DELETE FROM requests")
            copy.commit()
    if not history:
        with contextlib.closing(Store(staging)) as store:
            store.compact()


def _copy_adapters(cache: Path, staging: Path) -> None:
    """All adapters; the pointer first, since those it may speak of are there by then."""
    adapters = Adapters(cache)
    if not adapters.folder.is_dir():
        return
    (staging / FOLDER).mkdir()
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(adapters.folder / CURRENT, staging / FOLDER / CURRENT)
    for number in adapters.numbers:
        for path in adapters.paths(number):
            shutil.copyfile(path, staging / FOLDER / path.name)


def _settle(staging: Path) -> None:
    """Have all of the store in its one file."""
    path = staging / FILE
    with translated(path), contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _described(staging: Path) -> Manifest:
    # Opening the store would put files of its own beside it.
    query = """SELECT (SELECT min(version) FROM versions), version, classes, shots FROM versions
        ORDER BY version DESC LIMIT 1"""
    with contextlib.closing(sqlite3.connect(staging / FILE)) as connection:
        oldest, version, classes, shots = connection.execute(query).fetchone()
        meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    adapters = sorted(f"{FOLDER}/{path.name}" for path in (staging / FOLDER).glob("*"))
    return Manifest(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=meta["model"],
        fingerprint=meta["fingerprint"],
        width=int(meta["width"]),
        version=version,
        oldest_version=oldest,
        classes=classes,
        shots=shots,
        files=tuple(part_of(staging, name) for name in (FILE, *adapters)),
    )


def _check(staging: Path, cache: Path) -> None:
    """A copy that could not be imported is none."""
    with contextlib.closing(Store(staging)) as store:
        wrong = _complaints(verify_files(store))
    if wrong:
        raise CacheDamaged(
            f"{cache} is damaged: {wrong}. Nothing was exported; `xmadapter cache verify` tells "
            "more"
        )


def _check_import(staging: Path, manifest: Manifest) -> None:
    with contextlib.closing(Store(staging)) as store:
        origin, counts = store.origin, store.counts()
        wrong = _complaints(verify_files(store))
        found = (origin.model, origin.fingerprint, origin.width, store.version, *counts)
    told = (
        manifest.model,
        manifest.fingerprint,
        manifest.width,
        manifest.version,
        manifest.classes,
        manifest.shots,
    )
    if wrong or found != told:
        reason = wrong or f"expected {told} in its store, as its manifest has it, got {found}"
        raise ArchiveError(f"the archive holds a damaged cache: {reason}. Nothing was imported")


def _complaints(findings: Iterable[Finding]) -> str:
    """What is wrong first, and how much more; empty where nothing is."""
    wrong = [(line, finding.more) for finding in findings for line in finding.wrong]
    if not wrong:
        return ""
    more = len(wrong) - 1 + wrong[-1][1]
    return wrong[0][0] + f" (and {more} more)" * bool(more)


def _check_room(manifest: Manifest, target: Path) -> None:
    free = shutil.disk_usage(target.parent).free
    if free < manifest.bytes:
        raise CacheFull(
            f"expected {manifest.bytes:,} bytes of room on the disk of {target}, got {free:,}: "
            "make room, or import elsewhere"
        )


def _refuse_filled(target: Path, cache: Path) -> None:
    """Raise where there is anything that the import would take the place of."""
    if Store.exists(target):
        raise ArchiveError(
            f"there is a cache at {cache} already: choose another folder, or move that one away"
        )
    if target.is_dir() and (names := sorted(path.name for path in target.iterdir())):
        raise ArchiveError(f"expected no folder at {cache}, or an empty one, got {names[0]} in it")
    if target.exists() and not target.is_dir():
        raise CacheUnwritable(f"expected a folder at {cache}, got a file")


def _sync(path: Path) -> None:
    if path.is_dir():
        sync_folder(path)
        return
    with path.open("rb") as file:
        os.fsync(file.fileno())
