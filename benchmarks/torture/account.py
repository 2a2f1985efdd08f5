"""What a cache must hold after its processes were killed, worked out from their notes.

The history of the cache says by its callers' tags which change made which version; the changes are
made once more, on plain dictionaries, in that order. A change that was acknowledged must be there,
one that was not may be there, wholly; and all together must come to what the cache holds.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexer.adapters import Adapters
from indexer.cache import Cache
from indexer.records import ClassInfo, Request, ShotInfo, VersionInfo
from indexer.store import Store

ALL = 10**6
REMEMBERED = 300
"""Versions that may be gone back to."""

Change = Mapping[str, Any]


@dataclass(frozen=True)
class State:
    """Image -> label and caption; label -> prompts."""

    shots: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)


@dataclass
class Unit:
    """What is on disk together, or not at all: one change, or a group of them.

    Attributes:
        changes: in their order.
        key: under which an answer was kept with it.
        version: that was acknowledged; None where it was not.
        ids: of the shots of each add, where they were acknowledged.
        adapter: the number of the one that was written.
        writes_adapter: whether one was to be.
        copy: the folder that a copy of the cache was to be imported into.
    """

    changes: Sequence[Change]
    key: str | None = None
    version: int | None = None
    ids: Sequence[Sequence[str]] = ()
    adapter: int | None = None
    writes_adapter: bool = False
    copy: Path | None = None


@dataclass
class Tally:
    """What was found, counted.

    Attributes:
        acknowledged, cut_off, groups: units.
        lost, doubled, half_done: changes, shots or answers.
        notes: for a person: what was wrong.
    """

    acknowledged: int = 0
    cut_off: int = 0
    groups: int = 0
    lost: int = 0
    doubled: int = 0
    half_done: int = 0
    notes: list[str] = field(default_factory=list)

    def wrong(self, kind: str, note: str, count: int = 1) -> None:
        """Count something that should not be; `kind` is the name of a counter."""
        if count:
            setattr(self, kind, getattr(self, kind) + count)
            self.notes.append(f"{kind}: {note}")


def units_of(notes: Iterable[Path]) -> list[Unit]:
    """What several processes noted. A last line that is not whole was not written."""
    found: dict[str, Unit] = {}
    for path in notes:
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
            facts: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {"opened": False}
            if "opened" in facts:
                continue
            if "begun" in facts:
                unit = Unit(facts["do"], facts.get("key"), writes_adapter="adapter" in facts)
                unit.copy = Path(facts["copy"]) if "copy" in facts else None
                found[facts["begun"]] = unit
            elif "passed" in facts:
                found.pop(facts["passed"], None)
            else:
                done = found[facts["done"]]
                done.version, done.ids = facts["version"], facts.get("ids", ())
                done.adapter = facts.get("adapter")
    return list(found.values())


class Account:
    """One cache through many kills.

    Attributes:
        tally: of all of them.
        version: the last that was looked at.
    """

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.version = 0
        self._past: dict[int, State] = {0: State()}
        self._adapter: int | None = None

    def settle(self, cache: Cache, units: Sequence[Unit]) -> None:
        """Hold a cache that was opened again against what its processes noted."""
        tally = self.tally
        tally.acknowledged += sum(unit.version is not None for unit in units)
        tally.cut_off += sum(unit.version is None for unit in units)
        tally.groups += sum(len(unit.changes) > 1 for unit in units)
        versions = list(reversed(cache.versions(ALL).items))
        made = self._made(versions, units)
        self._replay(versions[-1].version, made)
        for unit in units:
            self._settle_unit(cache, unit, made)
        self._compare(cache)
        self._settle_adapters(cache, units)
        if cache.classes(1).items:
            cache.classify(cache.encoder.encode_texts(["any"]))

    def _made(self, versions: Sequence[VersionInfo], units: Sequence[Unit]) -> dict[int, Change]:
        """Which change made which of the versions that are new."""
        numbers = [each.version for each in versions]
        if numbers != list(range(numbers[0], numbers[-1] + 1)):
            self.tally.wrong("half_done", f"versions {numbers} are not consecutive")
        if numbers[-1] < self.version:
            self.tally.wrong("lost", f"versions after {numbers[-1]}", self.version - numbers[-1])
        changes = {change["tag"]: change for unit in units for change in unit.changes}
        made = _before_erased(units, numbers[0])
        for each in versions:
            if each.version <= self.version:
                continue
            if each.caller not in changes:
                self.tally.wrong("doubled", f"version {each.version} was made by {each.caller!r}")
            else:
                made[each.version] = changes[each.caller]
        tags = Counter(change["tag"] for change in made.values())
        for tag, count in tags.items():
            self.tally.wrong("doubled", f"{tag} made {count} versions", count - 1)
        return made

    def _replay(self, version: int, made: Mapping[int, Change]) -> None:
        """Make all changes again."""
        for number in range(self.version + 1, version + 1):
            state = self._past.get(number - 1, State())
            change = made.get(number)
            if change is None:
                self.tally.wrong("half_done", f"nobody made version {number}")
            self._past[number] = state if change is None else _after(change, state, self._past)
        self._past = {n: each for n, each in self._past.items() if n > version - REMEMBERED}
        self.version = version

    def _settle_unit(self, cache: Cache, unit: Unit, made: Mapping[int, Change]) -> None:
        tags = {change["tag"] for change in made.values()}
        present = [change for change in unit.changes if change["tag"] in tags]
        if unit.version is None:
            if len(present) not in (0, len(unit.changes)):
                self.tally.wrong("half_done", f"{len(present)} changes of {unit.changes}")
        else:
            for change in unit.changes:
                if change not in present and self._changes_something(change, unit.version):
                    self.tally.wrong("lost", f"{change} of version {unit.version}")
        if unit.key is not None:
            self._settle_answer(cache, unit.key, unit.version is not None, bool(present))
        if unit.copy is not None:
            self._settle_copy(unit.copy, unit.version)
        adds = [change for change in unit.changes if change["kind"] == "add"]
        for change, ids in zip(adds, unit.ids, strict=False):
            for (image, _), shot_id in zip(change["images"], ids, strict=True):
                if image in self._past[self.version].shots and cache.find(image) != (
                    shot_id,
                    self._past[self.version].shots[image][0],
                ):
                    self.tally.wrong("lost", f"{image} is {cache.find(image)}, not {shot_id}")

    def _changes_something(self, change: Change, version: int) -> bool:
        if version > self.version:
            return True
        state = self._past.get(version)
        return state is not None and _after(change, state, self._past) != state

    def _settle_answer(self, cache: Cache, key: str, acknowledged: bool, present: bool) -> None:
        answer = cache.answer(Request(key, key))
        body = None if answer is None else answer.body
        if body != (key.encode() if present else None):
            kind = "lost" if acknowledged else "half_done"
            self.tally.wrong(kind, f"answer {body!r} under the key {key!r}")

    def _settle_copy(self, folder: Path, acknowledged: int | None) -> None:
        """An imported cache is whole, or is not there; then its folder goes."""
        if not folder.exists():
            self.tally.wrong("lost", f"{folder}", int(acknowledged is not None))
            return
        with contextlib.closing(Store(folder)) as store:
            store.check()
            version = store.rows().version
            found = _state_of(store.shots(None, ALL, None).items, store.classes(ALL, None).items)
        if found != self._past.get(version) or acknowledged not in (None, version):
            self.tally.wrong("half_done", f"{folder} at version {version}")
        shutil.rmtree(folder)

    def _compare(self, cache: Cache) -> None:
        """What is there, with what must be."""
        shots, classes = cache.shots(None, ALL).items, cache.classes(ALL).items
        counted = Counter(each.sha256 for each in shots)
        twice = sum(counted.values()) - len(counted)
        self.tally.wrong("doubled", f"{twice} shots of version {self.version}", twice)
        expected = self._past[self.version]
        found = _state_of(shots, classes)
        for name in ("shots", "classes"):
            here, there = getattr(expected, name), getattr(found, name)
            lost = sum(there.get(key, "none") != value for key, value in here.items())
            more = sum(key not in here for key in there)
            self.tally.wrong("lost", f"{lost} {name} of version {self.version}", lost)
            self.tally.wrong("half_done", f"{more} {name} of version {self.version}", more)
        if len(cache.support().support.keys) != len(shots):
            self.tally.wrong("half_done", f"keys of {len(shots)} shots")
        self._past[self.version] = found

    def _settle_adapters(self, cache: Cache, units: Sequence[Unit]) -> None:
        adapters = Adapters(cache.path)
        for unit in units:
            if unit.adapter is not None:
                adapters.read(unit.adapter, cache.encoder.fingerprint, cache.encoder.width)
                self._adapter = unit.adapter
        serving = cache.adapter.number
        may_be_next = any(unit.writes_adapter and unit.version is None for unit in units)
        if serving != self._adapter and not (may_be_next and serving == (self._adapter or 0) + 1):
            self.tally.wrong("lost", f"adapter {self._adapter}: {serving} serves")
        self._adapter = serving


def _state_of(shots: Iterable[ShotInfo], classes: Iterable[ClassInfo]) -> State:
    return State(
        {each.sha256: (each.label, each.caption) for each in shots},
        {each.label: each.prompts for each in classes},
    )


def _before_erased(units: Sequence[Unit], oldest: int) -> dict[int, Change]:
    """Which acknowledged changes made the versions whose history is erased since."""
    made = {}
    before = 0
    for unit in units:
        if unit.version is None:
            continue
        for by, change in enumerate(reversed(unit.changes)):
            if before < unit.version - by < oldest:
                made[unit.version - by] = change
        before = max(before, unit.version)
    return made


def _after(change: Change, state: State, past: Mapping[int, State]) -> State:
    """The state that a change makes of one."""
    shots, classes = dict(state.shots), dict(state.classes)
    kind = change["kind"]
    if kind == "rollback":
        return past[change["version"]]
    if kind == "add":
        classes.setdefault(change["label"], None)
        shots |= {image: (change["label"], caption) for image, caption in change["images"]}
    elif kind == "relabel":
        classes.setdefault(change["label"], None)
        if change["image"] in shots:
            shots[change["image"]] = (change["label"], shots[change["image"]][1])
    elif kind == "forget":
        shots.pop(change["image"], None)
    elif kind == "put_class":
        classes[change["label"]] = tuple(change["prompts"])
    elif kind == "delete_class":
        classes.pop(change["label"], None)
        shots = {image: held for image, held in shots.items() if held[0] != change["label"]}
    return State(shots, classes)
