"""Trained adapters, numbered, in the folder `adapters` of a cache.

    0001.safetensors   the networks
    0001.json          what is known of them; written last, and without it there is no adapter 1
    current            the number of the one that serves, and the checksum of its record; without
                       it untrained networks serve

One process at a time writes here (`xmadapter train` and `xmadapter adapter use` hold a lock), any
may read. A file appears under its name complete, by a rename. Record and pointer have checksums
of their own (`indexer.sealed`), the record has that of the networks: a byte that changes is told.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from adapter.files import sync_folder
from adapter.fit import Method
from adapter.networks import AdapterFileError, Networks, networks_content
from indexer.errors import CacheUnwritable
from indexer.pointer import USE, Pointer, read_pointer
from indexer.sealed import SealBroken, Sealed, read_sealed

FOLDER = "adapters"
CURRENT = "current"
NEW = ".new"
"""What the name of an unfinished file ends with."""


@dataclass(frozen=True)
class Record:
    """What is known of a trained adapter. `Adapters.write` fills in the first three.

    Attributes:
        number: its own.
        created: when, ISO 8601 in UTC.
        sha256: of the file of networks.
        encoder, model: fingerprint and name of the encoder that it was trained on features of.
        method: the form that it was trained for.
        cache_version, shots, classes: the cache, then.
        seed: of all that is random in training.
        settings: of the training, by name.
        metrics: what the training measured, by name.
        parameters: how many numbers were trained.
        seconds: how long that took.
        accuracy: share of the shots that are right when left out, one by one or in folds.
        serving: number of the adapter that served then; None for untrained networks.
        serving_accuracy: that adapter's, on the same shots.
        published: whether it was to serve from then on, and `reason` why or why not.
    """

    encoder: str
    model: str
    method: Method
    cache_version: int
    shots: int
    classes: int
    seed: int
    settings: dict[str, Any]
    metrics: dict[str, float]
    parameters: int
    seconds: float
    accuracy: float
    serving: int | None
    serving_accuracy: float
    published: bool
    reason: str
    number: int = 0
    created: str = ""
    sha256: str = ""


_READER = TypeAdapter(Record)


@dataclass(frozen=True)
class Adapter:
    """Networks, and what is known of them.

    Attributes:
        networks: on the CPU.
        sha256: of their file; None for untrained ones.
        record: None for untrained networks, and for those of a file that was named by hand.
        file: that file.
    """

    networks: Networks
    sha256: str | None = None
    record: Record | None = None
    file: Path | None = None

    @property
    def number(self) -> int | None:
        """Its number; None where it has none."""
        return None if self.record is None else self.record.number

    def fit_name(self, method: Method) -> str:
        """What its fitted numbers are stored under: with other networks they are others."""
        return fit_name(method, self.sha256)


def fit_name(method: Method, sha256: str | None) -> str:
    """The name of the numbers of `method` with the networks of a file; None for untrained ones."""
    return method if sha256 is None else f"{method} {sha256}"


class Adapters:
    """The numbered adapters of one cache.

    Attributes:
        folder: where they are; it need not exist.
    """

    def __init__(self, cache: Path) -> None:
        """Of the cache in the folder `cache`."""
        self.folder = cache / FOLDER

    @property
    def latest(self) -> int | None:
        """The highest number that there is."""
        return max(self._numbers(".json"), default=None)

    @property
    def current(self) -> int | None:
        """The number of the one that is to serve; None for untrained networks.

        Raises:
            AdapterFileError: the pointer is damaged.
        """
        pointer = read_pointer(self.folder / CURRENT)
        return None if pointer is None else pointer.number

    @property
    def published(self) -> Record | None:
        """The record of the one that is to serve; None for untrained networks.

        Raises:
            AdapterFileError: the pointer is damaged, or the record, or is that of another adapter.
        """
        pointer = read_pointer(self.folder / CURRENT)
        if pointer is None:
            return None
        record, checksum = self._sealed_record(pointer.number)
        if checksum != pointer.record:
            raise AdapterFileError(
                f"expected the record {pointer.record[:12]} in {self.paths(record.number)[1]}, as "
                f"{self.folder / CURRENT} has it, got {checksum[:12]}: {USE}"
            )
        return record

    def record(self, number: int) -> Record:
        """What is known of an adapter. Raises AdapterFileError."""
        return self._sealed_record(number)[0]

    def read(self, number: int, encoder: str, width: int) -> Adapter:
        """Read an adapter by its number; see `load`."""
        return self.load(self.record(number), encoder, width)

    def load(self, record: Record, encoder: str, width: int) -> Adapter:
        """Read an adapter into memory, and check all that can be checked.

        Args:
            record: its own.
            encoder: the fingerprint of the encoder that it is to be used with.
            width: D.

        Raises:
            AdapterFileError: missing, damaged, not finite, or made for another encoder.
        """
        if record.encoder != encoder:
            raise AdapterFileError(
                f"adapter {record.number} was trained on features of {record.model} "
                f"({record.encoder[:12]}), and the cache is served with another encoder "
                f"({encoder[:12]}): train again"
            )
        path = self.paths(record.number)[0]
        content = networks_content(path)
        found = checksum_of(content)
        if found != record.sha256:
            raise AdapterFileError(
                f"{path} is damaged: expected the checksum {record.sha256[:12]}, got "
                f"{found[:12]}: restore it, or {USE}"
            )
        return Adapter(Networks.parse(content, path, width), found, record)

    def write(self, networks: Networks, record: Record) -> Record:
        """Write an adapter under the next number, and have it serve if its record says so.

        All of it, or nothing.

        Returns:
            The record, with number, time and checksum.

        Raises:
            CacheUnwritable: the disk is full, read-only or failing; nothing is left behind, and
                what served goes on.
        """
        number = 1 + max([*self._numbers(".json"), *self._numbers(".safetensors")], default=0)
        weights, facts = self.paths(number)
        content = networks.content()
        record = replace(
            record,
            number=number,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            sha256=checksum_of(content),
        )
        sealed = Sealed(asdict(record))
        with self._writing(), self._discarding(number):
            self._put(weights, content)
            self._put(facts, sealed.content())
            if record.published:
                self._point_to(number, sealed.checksum)
        return record

    def use(self, number: int | None) -> None:
        """Have an adapter serve that is there, or untrained networks (None).

        Its record is checked, not its networks: `read` them before.

        Raises:
            AdapterFileError: there is no such adapter, or its record is damaged.
            CacheUnwritable: the disk is full, read-only or failing; what served goes on.
        """
        checksum = None if number is None else self._sealed_record(number)[1]
        with self._writing():
            if number is None or checksum is None:
                (self.folder / CURRENT).unlink(missing_ok=True)
                sync_folder(self.folder)
            else:
                self._point_to(number, checksum)

    def paths(self, number: int) -> tuple[Path, Path]:
        """An adapter's files: the networks, and what is known of them."""
        return self.folder / f"{number:04}.safetensors", self.folder / f"{number:04}.json"

    def good(self, encoder: str, width: int, below: int | None) -> Adapter | None:
        """The newest adapter that was published and is sound, of those below a number."""
        for number in reversed(self.numbers):
            if below is not None and number >= below:
                continue
            with contextlib.suppress(AdapterFileError):
                record = self.record(number)
                if record.published:
                    return self.load(record, encoder, width)
        return None

    @property
    def numbers(self) -> list[int]:
        """Of all that there are, damaged or not, in their order."""
        return sorted(self._numbers(".json"))

    def _sealed_record(self, number: int) -> tuple[Record, str]:
        """The record of an adapter, and the record's checksum. Raises AdapterFileError."""
        path = self.paths(number)[1]
        try:
            found, checksum = read_sealed(path, _READER)
        except OSError as error:
            raise AdapterFileError(f"cannot read adapter {number}: {error}") from error
        except SealBroken as error:
            raise AdapterFileError(f"{path} is damaged: {error}: train again, or {USE}") from error
        if found.number != number:
            raise AdapterFileError(f"expected adapter {number} in {path}, got {found.number}")
        return found, checksum

    def _numbers(self, suffix: str) -> list[int]:
        if not self.folder.is_dir():
            return []
        stems = [path.stem for path in self.folder.iterdir() if path.suffix == suffix]
        return [int(stem) for stem in stems if stem.isascii() and stem.isdigit()]

    def _point_to(self, number: int, record: str) -> None:
        self._put(self.folder / CURRENT, Pointer(number, record).content())

    def _put(self, path: Path, content: bytes) -> None:
        """Have `content` written under another name, then give it its own."""
        unfinished = path.with_name(path.name + NEW)
        with unfinished.open("wb") as file:
            # The service may run as another user than the training.
            unfinished.chmod(self.folder.stat().st_mode & 0o666)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        sync_folder(self.folder)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Where the block fails, nothing unfinished stays, and it is told what the disk said."""
        try:
            self.folder.mkdir(exist_ok=True)
            self._tidy()
            yield
        except BaseException as error:
            with contextlib.suppress(OSError):
                self._tidy()
            if isinstance(error, OSError):
                raise CacheUnwritable(
                    f"the folder of adapters {self.folder} cannot be written: {error}. Nothing was "
                    "changed: make room, or check who may write there"
                ) from error
            raise

    @contextlib.contextmanager
    def _discarding(self, number: int) -> Iterator[None]:
        """Where the block fails, the adapter's files go, unless it is the one that is to serve."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(OSError):
                self._discard(number)
            raise

    def _discard(self, number: int) -> None:
        with contextlib.suppress(AdapterFileError):
            if self.current == number:
                return
        for path in self.paths(number):
            path.unlink(missing_ok=True)

    def _tidy(self) -> None:
        """Remove what a process left unfinished when it was killed."""
        for path in self.folder.glob(f"*{NEW}"):
            path.unlink()


def checksum_of(content: bytes) -> str:
    """Hex sha256 of a file's bytes."""
    return hashlib.sha256(content).hexdigest()
