"""A cache in one file, and made of it again."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import subprocess
import tarfile
import threading
from collections import namedtuple
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from indexer import transfer
from indexer.adapters import Adapters
from indexer.archive import END, Manifest
from indexer.errors import (
    ArchiveError,
    CacheDamaged,
    CacheFull,
    CacheMissing,
    CacheUnwritable,
    UnknownVersion,
)
from indexer.reader import FILE
from indexer.records import Request
from indexer.store import Store
from indexer.transfer import export_cache, import_cache
from indexer.verification import verify
from tests.indexer.filled import full_shot


def exported(cache: Path, *, history: bool = True) -> bytes:
    file = io.BytesIO()
    export_cache(cache, file, history=history)
    return file.getvalue()


def tables(cache: Path) -> list[str]:
    """All that a store holds but what is derived, as SQL."""
    with closing(sqlite3.connect(cache / FILE)) as connection:
        return [line for line in connection.iterdump() if '"derived_files"' not in line]


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_comes_back_is_what_there_was(filled: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    file = io.BytesIO()
    told = export_cache(filled, file, progress=lambda *done: seen.append(done))
    assert seen[-1] == (told.bytes, told.bytes)
    file.seek(0)
    target = tmp_path / "deep" / "again"
    assert import_cache(file, target) == told
    assert (told.version, told.oldest_version, told.classes, told.shots) == (5, 0, 3, 8)
    assert tables(target) == tables(filled)
    for path in sorted(Adapters(filled).folder.iterdir()):
        assert (target / "adapters" / path.name).read_bytes() == path.read_bytes()
    assert left(target) == ["adapters", FILE]
    assert left(target.parent) == ["again"]
    assert not [line for each in verify(target, deep=True) for line in each.wrong]
    with closing(Store(target)) as store:
        store.add("ant", [full_shot(99)])
        assert store.version == 6
        store.rollback(2)
        assert store.answer(Request("key", "fingerprint")) is not None


def test_people_can_look_into_it(filled: Path, tmp_path: Path) -> None:
    path = tmp_path / "export.tar"
    path.write_bytes(exported(filled))
    with tarfile.open(path) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path / "out", filter="data")
    assert names[:2] == ["manifest.json", FILE]
    assert names[-1] == "SHA256SUMS"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["model"] == "pixel-encoder"
    assert [part["name"] for part in manifest["files"]] == names[1:-1]
    if (tool := shutil.which("sha256sum")) is not None:
        command = [tool, "--check", "--strict", "SHA256SUMS"]
        subprocess.run(command, cwd=tmp_path / "out", check=True, capture_output=True)


def test_without_history_the_forgotten_is_not_in_the_file(filled: Path, tmp_path: Path) -> None:
    traces = [b"RIFF0", full_shot(0).sha256.encode(), full_shot(0).key.tobytes()]
    content = exported(filled)
    assert all(trace in content for trace in traces)
    content = exported(filled, history=False)
    assert not any(trace in content for trace in traces)
    assert b'"answer"' not in content
    told = import_cache(io.BytesIO(content), tmp_path / "again")
    assert (told.version, told.oldest_version, told.shots) == (5, 5, 8)
    with closing(Store(tmp_path / "again")) as store, pytest.raises(UnknownVersion):
        store.rollback(4)


def test_an_export_is_one_moment_of_a_cache_in_use(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PAGES", 1)
    done = threading.Event()
    acknowledged: list[int] = []

    def teach() -> None:
        with closing(Store(filled)) as store:
            for seed in range(1000, 1400):
                store.add("ant", [full_shot(seed), full_shot(seed + 1000)])
                acknowledged.append(store.version)
                if done.is_set():
                    return

    writer = threading.Thread(target=teach)
    writer.start()
    try:
        while len(acknowledged) < 3:
            pass
        content = exported(filled)
        at_least = acknowledged[2]
    finally:
        done.set()
        writer.join()
    told = import_cache(io.BytesIO(content), tmp_path / "again")
    assert told.version >= at_least
    assert told.shots == 8 + 2 * (told.version - 5)


def test_no_byte_may_change_and_none_may_be_missing(filled: Path, tmp_path: Path) -> None:
    content = exported(filled, history=False)
    step = len(content) // 60
    parts = [*range(0, len(content), step), *range(0, 1600, 97)]
    parts += range(len(content) - 2600, len(content), 131)
    for at in parts:
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        for damaged in (bytes(flipped), content[:at]):
            with pytest.raises(ArchiveError):
                import_cache(io.BytesIO(damaged), tmp_path / "again")
    with pytest.raises(ArchiveError, match="expected the archive to end"):
        import_cache(io.BytesIO(content + b"\0"), tmp_path / "again")
    assert left(tmp_path) == ["filled"]


@pytest.mark.parametrize("content", [b"", b"no archive" * 100, bytes(4096), b"PK\3\4" * 500])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ArchiveError):
        import_cache(io.BytesIO(content), tmp_path / "again")
    assert left(tmp_path) == []


def test_a_cache_that_is_there_is_left_alone(filled: Path) -> None:
    before = tables(filled)
    with pytest.raises(ArchiveError, match="there is a cache at"):
        import_cache(io.BytesIO(exported(filled)), filled)
    assert tables(filled) == before


def test_an_empty_folder_is_filled_and_another_is_not(filled: Path, tmp_path: Path) -> None:
    content = exported(filled)
    (tmp_path / "empty").mkdir()
    import_cache(io.BytesIO(content), tmp_path / "empty")
    assert Store.exists(tmp_path / "empty")
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes").write_text("mine")
    with pytest.raises(ArchiveError, match="got notes in it"):
        import_cache(io.BytesIO(content), other)
    with pytest.raises(CacheUnwritable, match="got a file"):
        import_cache(io.BytesIO(content), other / "notes")
    assert left(other) == ["notes"]


def test_a_disk_without_room_is_told_before_it_is_filled(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1000))
    with pytest.raises(CacheFull, match="got 1,000"):
        import_cache(io.BytesIO(exported(filled)), tmp_path / "again")
    assert left(tmp_path) == ["filled"]


def test_a_damaged_cache_is_not_exported(filled: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(filled / FILE)) as connection, connection:
        connection.execute("UPDATE shots SET sha256 = sha256 || 'x' WHERE position < 4")
    file = io.BytesIO()
    with pytest.raises(CacheDamaged, match=r"\(and 2 more\).*Nothing was exported"):
        export_cache(filled, file, scratch=tmp_path)
    assert file.getvalue() == b""
    assert left(tmp_path) == ["filled"]
    with pytest.raises(CacheMissing):
        export_cache(tmp_path, file)


def test_a_forged_store_is_not_imported(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever makes an archive can make its checksums too."""
    monkeypatch.setattr(transfer, "_check", lambda staging, cache: None)
    statements = (
        "UPDATE extras SET thumbnail = x'00' WHERE position = 2",
        "CREATE TRIGGER sly AFTER INSERT ON shots BEGIN DELETE FROM classes; END",
    )
    for statement in statements:
        with closing(sqlite3.connect(filled / FILE)) as connection, connection:
            connection.execute(statement)
        monkeypatch.setattr(transfer, "Reader", _Unchecked)
        content = exported(filled)
        with pytest.raises(ArchiveError, match="the archive holds a"):
            import_cache(io.BytesIO(content), tmp_path / "again")
    assert left(tmp_path) == ["filled"]


class _Unchecked:
    """A reader of a file that may be anything."""

    def __init__(self, folder: Path) -> None:
        self.connection = sqlite3.connect(folder / FILE)

    def close(self) -> None:
        self.connection.close()

    def snapshot(self) -> closing[io.BytesIO]:
        return closing(io.BytesIO())

    def source(self) -> _Unchecked:
        return self

    def __enter__(self) -> _Unchecked:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_manifest_that_tells_of_another_cache(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = transfer._described

    def wrong(staging: Path) -> Manifest:
        return replace(described(staging), shots=7)

    monkeypatch.setattr(transfer, "_described", wrong)
    with pytest.raises(ArchiveError, match="as its manifest has it"):
        import_cache(io.BytesIO(exported(filled)), tmp_path / "again")
    assert left(tmp_path) == ["filled"]


def test_it_ends_as_a_tar_does(filled: Path) -> None:
    content = exported(filled)
    assert content.endswith(END)
    assert len(content) % 512 == 0
