"""One file of several, each byte of which is told from any other."""

from __future__ import annotations

import io
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from indexer import archive
from indexer.archive import (
    END,
    FORMAT,
    FORMAT_VERSION,
    Manifest,
    Part,
    part_of,
    read_archive,
    write_archive,
)
from indexer.errors import ArchiveError
from indexer.reader import FILE
from indexer.sealed import Sealed

NOTHING = "0" * 64


def manifest(*parts: Part) -> Manifest:
    return Manifest(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        created="2026-01-31T12:00:00+00:00",
        model="pixel-encoder",
        fingerprint="f" * 64,
        width=8,
        version=3,
        oldest_version=0,
        classes=1,
        shots=2,
        files=parts,
    )


def made(folder: Path, **files: bytes) -> bytes:
    names = {"store": FILE, "pointer": "adapters/current", "record": "adapters/0001.json"}
    (folder / "adapters").mkdir(parents=True)
    for name, content in files.items():
        (folder / names[name]).write_bytes(content)
    parts = [part_of(folder, names[name]) for name in files]
    file = io.BytesIO()
    write_archive(file, manifest(*parts), folder, lambda done, total: None)
    return file.getvalue()


def read(content: bytes, folder: Path) -> Manifest:
    folder.mkdir(exist_ok=True)
    return read_archive(io.BytesIO(content), folder, lambda found: None, lambda done, total: None)


def forged(facts: dict[str, object]) -> bytes:
    """An archive with a sealed manifest of anybody's choice."""
    content = Sealed(facts).content()
    return archive._header(archive.MANIFEST, len(content)) + content + bytes(-len(content) % 512)


def test_any_size_comes_back(tmp_path: Path) -> None:
    for number, size in enumerate((0, 1, 511, 512, 513, archive.CHUNK + 7)):
        content = made(tmp_path / f"{number}", store=bytes(range(256)) * (size // 256 + 1))
        found = read(content, tmp_path / f"{number} again")
        assert found.files[0].bytes == (tmp_path / f"{number} again" / FILE).stat().st_size


def test_every_byte_counts(tmp_path: Path) -> None:
    content = made(tmp_path / "made", store=b"store" * 7, pointer=b"pointer")
    read(content, tmp_path / "again")
    for at in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        with pytest.raises(ArchiveError):
            read(bytes(flipped), tmp_path / f"at {at}")
    for at in range(0, len(content), 41):
        with pytest.raises(ArchiveError, match="cut short"):
            read(content[:at], tmp_path / f"to {at}")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    content = made(tmp_path / "made", store=b"x" * 5000, pointer=b"pointer")
    at = content.index(b"x" * 5000) + 100
    damaged = content[:at] + b"y" + content[at + 1 :]
    with pytest.raises(ArchiveError, match=f"expected the checksum .* of {FILE}"):
        read(damaged, tmp_path / "again")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "got other 1"),
        ({"format_version": 2}, "got xmadapter-cache 2"),
        ({"width": "wide"}, "width"),
        ({"files": []}, f"expected {FILE} first"),
        ({"files": [asdict(Part("adapters/current", 1, NOTHING))]}, f"expected {FILE} first"),
        ({"files": [asdict(Part(FILE, 1, NOTHING))] * 2}, "each file once"),
        ({"files": [asdict(Part(FILE, -1, NOTHING))]}, "0 to 1,099,511,627,776 bytes"),
        ({"files": [asdict(Part(FILE, 2**41, NOTHING))]}, "bytes in all"),
    ],
)
def test_a_manifest_that_cannot_be(tmp_path: Path, change: dict[str, object], message: str) -> None:
    facts = {**asdict(manifest(Part(FILE, 1, NOTHING))), **change}
    with pytest.raises(ArchiveError, match=message):
        read(forged(facts), tmp_path / "again")
    assert list((tmp_path / "again").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../cache.sqlite3",
        "adapters/../../x.json",
        "adapters/0001.json/..",
        "adapters/0001.pkl",
        "adapters/0001.json\n",
        "adapters/٠٠٠١.json",
        "keys.json",
        "",
    ],
)
def test_no_file_gets_out_of_place(tmp_path: Path, name: str) -> None:
    facts = asdict(manifest(Part(FILE, 1, NOTHING), Part(name, 1, NOTHING)))
    with pytest.raises(ArchiveError, match="only files of a cache"):
        read(forged(facts), tmp_path / "again")
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_another_tar_archive_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as other:
        other.addfile(tarfile.TarInfo("../evil"))
    with pytest.raises(ArchiveError, match="begins with manifest"):
        read(file.getvalue(), tmp_path / "again")


def test_what_is_not_accepted_is_not_written(tmp_path: Path) -> None:
    content = made(tmp_path / "made", store=b"store")
    (tmp_path / "again").mkdir()

    def refuse(found: Manifest) -> None:
        raise ArchiveError(f"not {found.model}")

    with pytest.raises(ArchiveError, match="not pixel-encoder"):
        read_archive(io.BytesIO(content), tmp_path / "again", refuse, lambda done, total: None)
    assert list((tmp_path / "again").iterdir()) == []


def test_a_pipe_gives_what_it_has(tmp_path: Path) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 100))

    content = made(tmp_path / "made", store=b"store" * 100, record=b"{}")
    (tmp_path / "again").mkdir()
    found = read_archive(
        Slow(content), tmp_path / "again", lambda each: None, lambda done, total: None
    )
    assert found == replace(found, shots=2)
    assert (tmp_path / "again" / FILE).read_bytes() == b"store" * 100


def test_sizes_beyond_those_of_old_tars_fit(tmp_path: Path) -> None:
    header = archive._header(FILE, 2**35)
    assert len(header) == 512
    assert tarfile.TarInfo.frombuf(header, "utf-8", "strict").size == 2**35
    assert len(END) == 1024
