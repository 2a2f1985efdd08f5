"""A small cache with some of everything in it, and what it held after each change."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from benchmarks.torture.readings import ENCODER, Names, Readings, readings
from indexer.cache import Cache, NewShot
from indexer.reader import FILE
from indexer.records import Reply, Request

MAIN, LOG, MAP = FILE, f"{FILE}-wal", f"{FILE}-shm"


@dataclass(frozen=True)
class Files:
    """The bytes of a cache's files at one moment; without a log where that is None."""

    main: bytes
    log: bytes | None = None
    map: bytes | None = None

    @classmethod
    def of(cls, folder: Path) -> Files:
        """As they are."""
        parts = [folder / name for name in (MAIN, LOG, MAP)]
        main, log, shared = (part.read_bytes() if part.exists() else None for part in parts)
        return cls(main or b"", log, shared)

    def put(self, folder: Path) -> None:
        """Into a folder, in place of what is there."""
        for name, content in ((MAIN, self.main), (LOG, self.log), (MAP, self.map)):
            if content is None:
                (folder / name).unlink(missing_ok=True)
            else:
                (folder / name).write_bytes(content)


@dataclass
class Lesson:
    """A cache in the making.

    Attributes:
        folder: of it.
        cache: open; its log is folded into the main file by `fold` alone.
        names: all that was acknowledged until now.
    """

    folder: Path
    cache: Cache
    names: Names = field(default_factory=lambda: Names([], [], [], [], []))

    @classmethod
    def begin(cls, folder: Path) -> Lesson:
        """With an empty cache."""
        cache = Cache.open(folder, ENCODER)
        cache._store._database.maintain("PRAGMA wal_autocheckpoint = 0")
        return cls(folder, cache)

    def fold(self, how: str = "PASSIVE") -> None:
        """Copy the log into the main file."""
        self.cache._store._database.maintain(f"PRAGMA wal_checkpoint({how})")

    def learn(self, step: int) -> None:
        """Make one change, another kind for each of the steps, under an idempotency key or not."""
        chosen = random.Random(step)
        kinds: tuple[Callable[[random.Random, int], object], ...] = (
            self._add,
            self._caption,
            self._relabel,
            self._answer,
            self._forget,
            self._put_class,
            self._add,
            self._delete_class,
            self._roll_back,
            self._answer,
        )
        kinds[step % len(kinds)](chosen, step)
        self.names.versions = sorted({0, self.cache._store.version // 2, self.cache._store.version})

    def _add(self, chosen: random.Random, step: int) -> None:
        self._teach(f"class {step % 4}", [shot(10 * step + n) for n in range(chosen.randint(1, 3))])

    def _caption(self, chosen: random.Random, step: int) -> None:
        self._teach(f"class {step % 3}", [shot(10 * step, f"caption {chosen.randint(0, 3)}")])

    def _relabel(self, chosen: random.Random, step: int) -> None:
        self.cache.relabel(self._some(chosen), f"class {step % 5}")
        self._note_labels()

    def _forget(self, chosen: random.Random, step: int) -> None:
        self.cache.forget(self._some(chosen))

    def _put_class(self, chosen: random.Random, step: int) -> None:
        self.cache.put_class(f"class {step % 4}", [f"prompt {chosen.random()}"])
        self._note_labels()

    def _delete_class(self, chosen: random.Random, step: int) -> None:
        labels = [each.label for each in self.cache.classes().items]
        self.cache.delete_class(chosen.choice(labels[1:] or labels))

    def _roll_back(self, chosen: random.Random, step: int) -> None:
        self.cache.rollback(max(1, self.cache._store.version - 3))

    def _answer(self, chosen: random.Random, step: int) -> None:
        request = Request(f"key {step} {chosen.randbytes(8).hex()}", f"fingerprint {step}")
        with self.cache.group():
            self._add(chosen, step)
            self.cache.remember(request, Reply(201, chosen.randbytes(40)))
        self.names.requests = [*self.names.requests, request]

    def _teach(self, label: str, shots: list[NewShot]) -> None:
        added = self.cache.add(label, shots)
        self.names.shots = sorted({*self.names.shots, *added.shot_ids})
        self.names.images = sorted({*self.names.images, *(each.sha256 for each in shots)})
        self._note_labels()

    def _some(self, chosen: random.Random) -> str:
        return chosen.choice(self.cache.shots().items).shot_id

    def _note_labels(self) -> None:
        found = {each.label for each in self.cache.classes().items}
        self.names.labels = sorted({*self.names.labels, *found})


def shot(seed: int, caption: str | None = None) -> NewShot:
    """A shot of its own bytes, with views, and a thumbnail where the seed is even."""
    numbers = np.random.default_rng(seed)
    views = torch.tensor(numbers.normal(size=(2, ENCODER.width)), dtype=torch.float32)
    image = hashlib.sha256(str(seed).encode()).hexdigest()
    thumbnail = None if seed % 2 else b"RIFF" + numbers.bytes(60 + seed % 50)
    return NewShot(views.mean(0), image, caption, thumbnail, views)


def ask(files: Files, folder: Path, names: Names) -> Readings:
    """Put files into a folder of their own, and ask the cache there everything.

    Raises as `readings`.
    """
    folder.mkdir(exist_ok=True)
    try:
        files.put(folder)
        return readings(folder, names)
    finally:
        shutil.rmtree(folder)
