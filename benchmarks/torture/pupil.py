"""A process that changes a cache as fast as it can, until it is killed.

Before each change it writes down what it is about to do, and after it what it was told; both in a
file of its own, which a kill -9 leaves as it was. Each change carries a tag as its caller, so that
the history of the cache tells which of them made which version.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapter.networks import Networks
from benchmarks.torture.readings import ENCODER
from indexer.adapters import Adapters, Record
from indexer.cache import Cache, NewShot
from indexer.errors import CacheBusy, LabelConflict, UnknownClass, UnknownShot, UnknownVersion
from indexer.records import Reply, Request
from indexer.store import Store
from indexer.transfer import export_cache, import_cache

LABELS = [f"class {number}" for number in range(6)]
MOST = 16
"""Shots of one add."""

PASSED = (CacheBusy, LabelConflict, UnknownClass, UnknownShot, UnknownVersion)
"""Refusals: another process was first."""

RECORD = Record(
    encoder=ENCODER.fingerprint,
    model=ENCODER.name,
    method="full",
    cache_version=0,
    shots=0,
    classes=0,
    seed=0,
    settings={},
    metrics={},
    parameters=0,
    seconds=0.0,
    accuracy=1.0,
    serving=None,
    serving_accuracy=0.0,
    published=True,
    reason="to be killed",
)


def work(folder: Path, notes: Path, seed: str, alone: bool) -> None:
    """Open the cache and change it, without end.

    Args:
        folder: of the cache.
        notes: what was begun and what was acknowledged: one JSON a line.
        seed: of all choices, and the beginning of all tags.
        alone: whether no other process changes the cache, so that its history may be erased, and
            adapters written.
    """
    file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with Cache.open(folder, ENCODER) as cache:
        pupil = Pupil(cache, file, random.Random(seed), seed)
        pupil.note(opened=True)
        while True:
            pupil.step(alone)


@dataclass
class Pupil:
    """Makes one change after the other.

    Attributes:
        cache: that is changed.
        file: descriptor of the notes.
        chosen: all choices.
        name: the beginning of all tags.
        count: changes until now.
    """

    cache: Cache
    file: int
    chosen: random.Random
    name: str
    count: int = 0

    def step(self, alone: bool) -> None:
        """One change of any kind."""
        kinds = [self.add] * 6 + [self.relabel] * 3 + [self.forget] * 2 + [self.put_class] * 2
        kinds += [self.delete_class, self.roll_back, self.group, self.group, self.answer]
        if alone and self.chosen.random() < 0.05:
            kinds = [self.compact, self.write_adapter, self.carry]
        self.count += 1
        tag = f"{self.name} {self.count}"
        try:
            self.chosen.choice(kinds)(tag)
        except PASSED:
            self.note(passed=tag)

    def note(self, **facts: object) -> None:
        """One line; a single write, so that it is there whole or not at all."""
        os.write(self.file, (json.dumps(facts) + "\n").encode())

    def add(self, tag: str) -> None:
        """Shots, to a class of theirs."""
        label, shots = self.chosen.choice(LABELS), self._shots(self.chosen.randint(1, MOST))
        self.note(begun=tag, do=[_adding(tag, label, shots)])
        added = self.cache.add(label, shots, caller=tag)
        self.note(done=tag, version=added.version, ids=[list(added.shot_ids)])

    def relabel(self, tag: str) -> None:
        """A shot, to another class."""
        image, shot_id = self._some()
        label = self.chosen.choice(LABELS)
        self.note(begun=tag, do=[{"tag": tag, "kind": "relabel", "image": image, "label": label}])
        self.note(done=tag, version=self.cache.relabel(shot_id, label, caller=tag)[1])

    def forget(self, tag: str) -> None:
        """A shot."""
        image, shot_id = self._some()
        self.note(begun=tag, do=[{"tag": tag, "kind": "forget", "image": image}])
        self.note(done=tag, version=self.cache.forget(shot_id, caller=tag))

    def put_class(self, tag: str) -> None:
        """Prompts of a class."""
        label = self.chosen.choice(LABELS)
        self.note(begun=tag, do=[_describing(tag, label)])
        self.note(done=tag, version=self.cache.put_class(label, [tag], caller=tag)[2])

    def delete_class(self, tag: str) -> None:
        """A class with its shots."""
        label = self.chosen.choice(LABELS)
        self.note(begun=tag, do=[{"tag": tag, "kind": "delete_class", "label": label}])
        self.note(done=tag, version=self.cache.delete_class(label, caller=tag)[1])

    def roll_back(self, tag: str) -> None:
        """To a version of the last few."""
        version = max(0, self.cache._store.version - self.chosen.randint(1, 5))
        self.note(begun=tag, do=[{"tag": tag, "kind": "rollback", "version": version}])
        self.note(done=tag, version=self.cache.rollback(version, caller=tag))

    def group(self, tag: str) -> None:
        """Several changes, and an answer under a key, on disk together."""
        tags = [f"{tag}.{number}" for number in range(self.chosen.randint(2, 5))]
        lessons = [(each, self.chosen.choice(LABELS), self._shots(2)) for each in tags]
        facts = [_adding(*lesson) for lesson in lessons]
        self.note(begun=tag, do=[*facts, _describing(f"{tag}.p", LABELS[0])], key=tag)
        with self.cache.group():
            added = [self.cache.add(label, shots, caller=each) for each, label, shots in lessons]
            version = self.cache.put_class(LABELS[0], [f"{tag}.p"], caller=f"{tag}.p")[2]
            self.cache.remember(Request(tag, tag), Reply(201, tag.encode()))
        self.note(done=tag, version=version, ids=[list(each.shot_ids) for each in added])

    def answer(self, tag: str) -> None:
        """An add with an answer under a key."""
        label, shots = self.chosen.choice(LABELS), self._shots(2)
        self.note(begun=tag, do=[_adding(tag, label, shots)], key=tag)
        with self.cache.group():
            added = self.cache.add(label, shots, caller=tag)
            self.cache.remember(Request(tag, tag), Reply(201, tag.encode()))
        self.note(done=tag, version=added.version, ids=[list(added.shot_ids)])

    def compact(self, tag: str) -> None:
        """All of the history but a few versions, gone."""
        keep = self.chosen.randint(6, 30)
        self.note(begun=tag, do=[], kept=keep)
        store = Store(self.cache.path)
        store.compact(keep)
        store.close()
        self.note(done=tag, version=self.cache.catch_up())

    def write_adapter(self, tag: str) -> None:
        """An adapter, which is to serve."""
        self.note(begun=tag, do=[], adapter=True)
        networks = Networks.initial(ENCODER.width)
        record = Adapters(self.cache.path).write(networks, replace(RECORD, reason=tag))
        self.note(done=tag, version=self.cache.catch_up(), adapter=record.number)

    def carry(self, tag: str) -> None:
        """The cache, by an archive, into another folder."""
        archive, copy = (self.cache.path.with_name(f"{name} {tag}") for name in ("archive", "copy"))
        self.note(begun=tag, do=[], copy=str(copy))
        with archive.open("w+b") as file:
            export_cache(self.cache.path, file)
            file.seek(0)
            version = import_cache(file, copy).version
        self.note(done=tag, version=version)
        archive.unlink()

    def _some(self) -> tuple[str, str]:
        """Image and id of any shot. Raises UnknownShot where there is none."""
        shots = self.cache.shots(limit=200).items
        if not shots:
            raise UnknownShot("any")
        found = self.chosen.choice(shots)
        return found.sha256, found.shot_id

    def _shots(self, count: int) -> list[NewShot]:
        return [_shot(self.chosen) for _ in range(count)]


def _shot(chosen: random.Random) -> NewShot:
    seed = chosen.getrandbits(60)
    feature = torch.tensor(np.random.default_rng(seed).normal(size=ENCODER.width))
    caption = f"caption {seed % 20}" if seed % 3 else None
    image = hashlib.sha256(str(seed).encode()).hexdigest()
    return NewShot(feature.float(), image, caption, b"thumbnail " * (seed % 20))


def _adding(tag: str, label: str, shots: list[NewShot]) -> Mapping[str, Any]:
    images = [[each.sha256, each.caption] for each in shots]
    return {"tag": tag, "kind": "add", "label": label, "images": images}


def _describing(tag: str, label: str) -> Mapping[str, Any]:
    return {"tag": tag, "kind": "put_class", "label": label, "prompts": [tag]}
