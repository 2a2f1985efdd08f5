"""A cache as one file: a tar archive whose every byte is told from any other.

    manifest.json             what the cache is, and size and checksum of each file; sealed itself
    cache.sqlite3             the store
    adapters/...              adapters, and which one is to serve
    SHA256SUMS                the checksums again, of the manifest too, for `sha256sum --check`

Headers, padding and end are a function of names and sizes, and are compared with what they must
be: what differs in a byte, or ends early, is refused. Files are not compressed, so that none can
grow beyond the size that the manifest states. Nothing is extracted under a name of the archive's
choice: the manifest may only list what a cache consists of.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from indexer.errors import ArchiveError
from indexer.reader import FILE
from indexer.sealed import MAX_BYTES, SealBroken, Sealed, unseal

FORMAT = "xmadapter-cache"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
MOST_BYTES = 2**40
"""Of all files of an archive together."""

CHUNK = 2**20
BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
_NAMES = re.compile(r"adapters/(current|[0-9]{4,12}\.(json|safetensors))", re.ASCII)

Progress = Callable[[int, int], None]
"""Told how many bytes are done, and of how many."""


@dataclass(frozen=True)
class Part:
    """One file of an archive: its name, bytes and hex sha256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an archive holds.

    Attributes:
        format, format_version: of the archive.
        created: when, ISO 8601 in UTC.
        model, fingerprint, width: the encoder that the features are of.
        version: the cache's.
        oldest_version: that can be gone back to.
        classes, shots: how many there are at `version`.
        files: all of them but the manifest and `SHA256SUMS`, in their order.
    """

    format: str
    format_version: int
    created: str
    model: str
    fingerprint: str
    width: int
    version: int
    oldest_version: int
    classes: int
    shots: int
    files: tuple[Part, ...]

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(part.bytes for part in self.files)


def part_of(folder: Path, name: str) -> Part:
    """A file of a folder, with its size and checksum."""
    with (folder / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Part(name, file.tell(), digest)


def write_archive(file: BinaryIO, manifest: Manifest, folder: Path, progress: Progress) -> None:
    """Write the files of a folder, which must stay as they are meanwhile.

    Raises:
        OSError: it cannot be written.
    """
    content = Sealed(asdict(manifest)).content()
    _write_file(file, MANIFEST, content)
    done = 0
    for part in manifest.files:
        file.write(_header(part.name, part.bytes))
        with (folder / part.name).open("rb") as source:
            while chunk := source.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(done, manifest.bytes)
        file.write(_padding(part.bytes))
    _write_file(file, SUMS, _sums(manifest, content))
    file.write(END)
    file.flush()


def read_archive(
    file: BinaryIO, folder: Path, accept: Callable[[Manifest], None], progress: Progress
) -> Manifest:
    """Read an archive, to its end, into an empty folder.

    Args:
        file: need not be one that can be rewound.
        folder: is left in any state where something is raised.
        accept: told of the manifest before anything is written; may raise.
        progress: told of the bytes.

    Raises:
        ArchiveError: it is none, of another format, truncated, longer, or differs in a byte.
        OSError: it cannot be read, or the folder not be written.
    """
    stream = _Stream(file)
    content = _read_manifest(stream)
    manifest = _parsed(content)
    accept(manifest)
    done = 0
    for part in manifest.files:
        stream.expect(_header(part.name, part.bytes), f"the header of {part.name}")
        path = folder / PurePosixPath(part.name)
        path.parent.mkdir(exist_ok=True)
        digest = hashlib.sha256()
        with path.open("xb") as target:
            for chunk in stream.chunks(part.bytes, part.name):
                digest.update(chunk)
                target.write(chunk)
                done += len(chunk)
                progress(done, manifest.bytes)
        if digest.hexdigest() != part.sha256:
            raise ArchiveError(
                f"the archive is damaged: expected the checksum {part.sha256[:12]} of {part.name}, "
                f"got {digest.hexdigest()[:12]}"
            )
        stream.expect(_padding(part.bytes), f"the padding of {part.name}")
    sums = _sums(manifest, content)
    stream.expect(_header(SUMS, len(sums)) + sums + _padding(len(sums)), SUMS)
    stream.expect(END, "its end")
    stream.finish()
    return manifest


class _Stream:
    """Reads a file from its beginning to its end, and tells where it is other than expected."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = 0

    def take(self, count: int, what: str) -> bytes:
        """So many bytes."""
        parts = []
        missing = count
        while missing and (chunk := self._file.read(missing)):
            parts.append(chunk)
            missing -= len(chunk)
        if missing:
            raise ArchiveError(
                f"the archive is cut short in {what}: expected {missing:,} more bytes after "
                f"{self._at + count - missing:,}"
            )
        self._at += count
        return b"".join(parts)

    def chunks(self, count: int, what: str) -> Iterator[bytes]:
        """So many bytes, a few at a time."""
        for start in range(0, count, CHUNK):
            yield self.take(min(CHUNK, count - start), what)

    def expect(self, content: bytes, what: str) -> None:
        """These bytes and no others."""
        at = self._at
        if self.take(len(content), what) != content:
            raise ArchiveError(
                f"the archive is damaged: {what}, at byte {at:,}, is not as it was written"
            )

    def finish(self) -> None:
        """Nothing more."""
        if self._file.read(1):
            raise ArchiveError(f"expected the archive to end after {self._at:,} bytes, got more")


def _read_manifest(stream: _Stream) -> bytes:
    header = stream.take(BLOCK, "its first header")
    try:
        found = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError):
        found = None
    if found is None or found.name != MANIFEST:
        raise ArchiveError(
            f"expected a tar archive that begins with {MANIFEST}, as `xmadapter cache export` "
            "writes it, got something else"
        )
    if not 0 <= found.size <= MAX_BYTES or header != _header(MANIFEST, found.size):
        raise ArchiveError("the archive is damaged: its first header is not as it was written")
    content = stream.take(found.size, MANIFEST)
    stream.expect(_padding(found.size), f"the padding of {MANIFEST}")
    return content


def _parsed(content: bytes) -> Manifest:
    try:
        facts = dict(unseal(content).facts)
    except SealBroken as error:
        raise ArchiveError(f"the archive is damaged: {MANIFEST}: {error}") from error
    known = (FORMAT, FORMAT_VERSION)
    if (found := (facts.get("format"), facts.get("format_version"))) != known:
        raise ArchiveError(
            f"expected an archive of the format {known[0]} {known[1]}, got {found[0]} {found[1]}: "
            "import it with the program that made it, or a newer one"
        )
    try:
        manifest = TypeAdapter(Manifest).validate_python(facts)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ArchiveError(f"{MANIFEST}: {place}: {first['msg']}") from error
    _check_parts(manifest)
    return manifest


def _check_parts(manifest: Manifest) -> None:
    names = [part.name for part in manifest.files]
    if names[:1] != [FILE] or len(set(names)) != len(names):
        raise ArchiveError(f"expected {FILE} first in {MANIFEST}, and each file once, got {names}")
    for name in names[1:]:
        if not _NAMES.fullmatch(name):
            raise ArchiveError(f"expected only files of a cache in {MANIFEST}, got {name!r}")
    if any(part.bytes < 0 for part in manifest.files) or manifest.bytes > MOST_BYTES:
        raise ArchiveError(
            f"expected files of 0 to {MOST_BYTES:,} bytes in all in {MANIFEST}, got "
            f"{manifest.bytes:,}"
        )


def _write_file(file: BinaryIO, name: str, content: bytes) -> None:
    file.write(_header(name, len(content)) + content + _padding(len(content)))


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    # GNU's form: it has room for sizes beyond 8 GiB in one block.
    return info.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def _sums(manifest: Manifest, content: bytes) -> bytes:
    own = Part(MANIFEST, len(content), hashlib.sha256(content).hexdigest())
    lines = [f"{part.sha256}  {part.name}\n" for part in (own, *manifest.files)]
    return "".join(lines).encode()
