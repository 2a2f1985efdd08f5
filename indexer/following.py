"""Which adapter is to serve: chosen when a cache is opened, followed as others are published.

An adapter that was found sound stays in memory: what becomes of its files afterwards is told, and
changes no answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from adapter.networks import AdapterFileError, Networks, networks_content
from indexer.adapters import Adapter, Adapters, checksum_of

Seen = tuple[object, ...]


class Features(Protocol):
    """What tells features apart: of an encoder, or of a cache's origin."""

    @property
    def fingerprint(self) -> str:
        """Equal where features may be compared."""
        ...

    @property
    def width(self) -> int:
        """D."""
        ...


@dataclass
class Publications:
    """What a cache's folder says about adapters, to one thread at a time.

    Attributes:
        adapters: the numbered ones.
        features: what they must have been trained on.
        file: networks that were named by hand; then no published ones are followed.
        error: why the adapter that was published last does not serve; None where it does.
    """

    adapters: Adapters
    features: Features
    file: Path | None = None
    error: str | None = None
    _seen: Seen = field(default=(), repr=False)

    @property
    def followed(self) -> bool:
        """Whether what is published comes to serve."""
        return self.file is None

    def first(self) -> Adapter:
        """The adapter to begin with.

        The file that was named, or the one published last, or, where that one cannot be used
        (`error` says why), the last sound one published before it, or untrained networks.

        Raises:
            AdapterFileError: the file that was named cannot be used.
        """
        if self.file is not None:
            content = networks_content(self.file)
            networks = Networks.parse(content, self.file, self.features.width)
            return Adapter(networks, checksum_of(content), file=self.file)
        self._seen = self._look()
        try:
            return self._current()
        except AdapterFileError as error:
            self.error = str(error)
        return self._last_good()

    def newer(self, serving: Adapter) -> Adapter | None:
        """The adapter that is to serve instead of `serving`; None if there is none.

        Quick when nothing was changed since the last call.

        Raises:
            AdapterFileError: what was published cannot be used. Once: the next call gives None,
                until its files change.
        """
        if not self.followed or (seen := self._look()) == self._seen:
            return None
        self._seen = seen
        try:
            found = self._current()
        except AdapterFileError as error:
            self.error = str(error)
            raise
        self.error = None
        same = (found.number, found.sha256) == (serving.number, serving.sha256)
        return None if same else found

    def failed(self, adapter: Adapter, error: Exception) -> None:
        """Note that a sound adapter could not be put to use, for a reason of its own."""
        self.error = f"adapter {adapter.number} could not be put to use: {error}"

    def _current(self) -> Adapter:
        record = self.adapters.published
        if record is None:
            return self._untrained()
        return self.adapters.load(record, self.features.fingerprint, self.features.width)

    def _last_good(self) -> Adapter:
        try:
            below = self.adapters.current
        except AdapterFileError:
            below = None
        found = self.adapters.good(self.features.fingerprint, self.features.width, below)
        return found or self._untrained()

    def _untrained(self) -> Adapter:
        return Adapter(Networks.initial(self.features.width))

    def _look(self) -> Seen:
        """What differs when another adapter was published, or the files of this one changed."""
        try:
            number = self.adapters.current
        except AdapterFileError as error:
            return (str(error),)
        if number is None:
            return (None,)
        return (number, *map(_stamp, self.adapters.paths(number)))


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
