"""A cache in dictionaries and NumPy arrays, written from what a cache promises, not from its code.

Shots, classes and keys have numbers, counted up as they come. A shot is told apart from every
other that ever was, so is a class from an earlier one of the same label, and a shot that moves
gets another key. So two versions hold the same exactly when their numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Prompts = tuple[str, ...] | None
Images = Sequence[tuple[int, str | None]]
OPPOSITE = 1e-6
"""Means shorter than this have no direction."""


class Refused(Exception):  # noqa: N818 (what happened, as the cache's own errors)
    """What was asked for cannot be. `names`: any of these errors says so."""

    def __init__(self, *names: str) -> None:
        self.names = frozenset(names)
        super().__init__(" or ".join(names))


@dataclass(frozen=True)
class Cap:
    """Most keys of a class, and whether further shots are merged into these or refused."""

    most: int
    merges: bool


@dataclass(frozen=True)
class State:
    """A version.

    Attributes:
        classes: number -> label and own prompts.
        places: shot -> number of its class, and of its key.
    """

    classes: Mapping[int, tuple[str, Prompts]] = field(default_factory=dict)
    places: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def number(self, label: str) -> int | None:
        """Of the class with this label."""
        return next((n for n, (own, _) in self.classes.items() if own == label), None)

    def label(self, shot: int) -> str:
        """Of a shot that is there."""
        return self.classes[self.places[shot][0]][0]

    def sharing(self, shot: int) -> list[int]:
        """The shots with the same key as this one, itself among them, oldest first."""
        return sorted(s for s, place in self.places.items() if place == self.places[shot])

    def has_pairs(self) -> bool:
        """Whether a class has two keys."""
        places = set(self.places.values())
        return len(places) > len({number for number, _ in places})

    def groups(self, label: str | None = None) -> list[list[int]]:
        """The shots of each key, oldest first; of one class, if a label is given."""
        groups: dict[tuple[int, int], list[int]] = {}
        for shot in sorted(self.places):
            if label in (None, self.label(shot)):
                groups.setdefault(self.places[shot], []).append(shot)
        return list(groups.values())


@dataclass(frozen=True)
class Version:
    """One change: what was done, to what, by whom."""

    action: str
    subject: str | int | None
    caller: str | None


@dataclass
class Plain:
    """The cache.

    Attributes:
        feature: gives a picture's unit feature (D,).
        shots: picture and caption of all that ever were; a shot's number is its place.
        past: version -> what it held.
        facts: version -> how it came about.
        oldest: the first version that one can go back to.
        replies: idempotency key -> what was asked and answered.
    """

    feature: Callable[[int], Doubles]
    shots: list[tuple[int, str | None]] = field(default_factory=list)
    past: dict[int, State] = field(default_factory=lambda: {0: State()})
    facts: dict[int, Version] = field(default_factory=lambda: {0: Version("create", None, None)})
    oldest: int = 0
    replies: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 10**9)))

    @property
    def version(self) -> int:
        """The last one."""
        return max(self.past)

    @property
    def state(self) -> State:
        """What there is now."""
        return self.past[self.version]

    def saved(self) -> tuple[dict[int, State], dict[str, tuple[str, bytes]]]:
        """What `undo` needs to have everything as it is now."""
        return dict(self.past), dict(self.replies)

    def undo(self, saved: tuple[dict[int, State], dict[str, tuple[str, bytes]]]) -> None:
        """Have everything as it was: numbers that were given meanwhile are given no more."""
        self.past, self.replies = saved
        self.facts = {version: fact for version, fact in self.facts.items() if version in self.past}

    def key(self, shots: Sequence[int]) -> Doubles:
        """(D,): the unit mean of shots that share a key; the oldest's own if they cancel out."""
        features = np.stack([self.feature(self.shots[shot][0]) for shot in shots])
        mean: Doubles = features.mean(0)
        length = float(np.linalg.norm(mean))
        return mean / length if length > OPPOSITE else features[0]

    # Changes

    def add(
        self, label: str, images: Images, relabel: bool, cap: Cap | None, caller: str | None
    ) -> tuple[list[int], list[bool], list[bool], int]:
        """Shots, which of them are new, which are merged, and how many the class has."""
        made = _Making(self, label)
        fresh: list[tuple[int, str | None]] = []
        done: list[tuple[int, bool, bool]] = []
        for picture, caption in images:
            known = [s for s in made.places if (self.shots + fresh)[s][0] == picture]
            if not known:
                fresh.append((picture, caption))
            shot = known[0] if known else len(self.shots) + len(fresh) - 1
            merged = False
            if not known or made.places[shot][0] != made.target:
                if known and not relabel:
                    raise Refused("LabelConflict")
                merged = made.place(shot, self.feature(picture), self._of(fresh), cap)
            done.append((shot, not known, merged))
        self.shots += fresh
        self._finish(made.state, "add", label, caller)
        ids, created, merges = (list(column) for column in zip(*done, strict=True))
        total = sum(number == made.target for number, _ in made.places.values())
        return ids, created, merges, total

    def relabel(self, shot: int, label: str, cap: Cap | None, caller: str | None) -> None:
        """Move a shot."""
        if shot not in self.state.places:
            raise Refused("UnknownShot")
        if self.state.label(shot) != label:
            made = _Making(self, label)
            made.place(shot, self.feature(self.shots[shot][0]), self.key, cap)
            self._finish(made.state, "relabel", shot, caller)

    def forget(self, shot: int, caller: str | None) -> None:
        """Take a shot away."""
        if shot not in self.state.places:
            raise Refused("UnknownShot")
        left = {s: place for s, place in self.state.places.items() if s != shot}
        self._finish(State(self.state.classes, left), "forget", shot, caller)

    def put_class(self, label: str, prompts: Prompts, caller: str | None) -> bool:
        """Make a class, or change its prompts; whether it is new."""
        number = self.state.number(label)
        own = next(self._numbers) if number is None else number
        classes = {**self.state.classes, own: (label, prompts)}
        self._finish(State(classes, self.state.places), "put_class", label, caller)
        return number is None

    def delete_class(self, label: str, caller: str | None) -> int:
        """Take a class and its shots away; how many these were."""
        number = self.known(label)
        classes = {n: each for n, each in self.state.classes.items() if n != number}
        places = {s: place for s, place in self.state.places.items() if place[0] != number}
        gone = len(self.state.places) - len(places)
        self._finish(State(classes, places), "delete_class", label, caller)
        return gone

    def rollback(self, version: int, caller: str | None) -> None:
        """Have again what there was."""
        self._finish(self.at(version), "rollback", str(version), caller)

    def compact(self, keep: int) -> None:
        """Forget what was before the last `keep` versions."""
        self.oldest = max(self.oldest, self.version - keep)

    # Questions

    def at(self, version: int) -> State:
        """What a version held."""
        if not self.oldest <= version <= self.version:
            raise Refused("UnknownVersion")
        return self.past[version]

    def known(self, label: str) -> int:
        """The number of a class that is there."""
        number = self.state.number(label)
        if number is None:
            raise Refused("UnknownClass")
        return number

    def differences(self, before: int, after: int) -> list[tuple[str, str, int | None, str | None]]:
        """What differs, to which label and shot, and the shot's label before."""
        old, new = self.at(before), self.at(after)
        found: list[tuple[str, str, int | None, str | None]] = []
        for number in sorted({*old.classes, *new.classes}):
            was, now = old.classes.get(number), new.classes.get(number)
            if was is None and now is not None:
                found.append(("class_added", now[0], None, None))
            elif was is not None and now is None:
                found.append(("class_removed", was[0], None, None))
            elif was is not None and was != now:
                found.append(("class_changed", was[0], None, None))
        for shot in sorted({*old.places, *new.places}):
            if shot not in old.places:
                found.append(("shot_added", new.label(shot), shot, None))
            elif shot not in new.places:
                found.append(("shot_removed", old.label(shot), shot, None))
            elif old.label(shot) != new.label(shot):
                found.append(("shot_relabelled", new.label(shot), shot, old.label(shot)))
            elif old.sharing(shot) != new.sharing(shot):
                found.append(("shot_merged", new.label(shot), shot, None))
        return found

    def _of(self, fresh: list[tuple[int, str | None]]) -> Callable[[Sequence[int]], Doubles]:
        """`key`, where some shots are in the making."""
        return Plain(self.feature, self.shots + fresh).key

    def _finish(self, state: State, action: str, subject: str | int, caller: str | None) -> None:
        if state == self.state:
            return
        version = self.version + 1
        self.past[version] = state
        self.facts[version] = Version(action, subject, caller)

    def number(self) -> int:
        """One that was never given."""
        return next(self._numbers)


class _Making:
    """What a change makes of the last version: shots that go into one class, made if it must be."""

    def __init__(self, plain: Plain, label: str) -> None:
        self._plain = plain
        self.classes = dict(plain.state.classes)
        self.places = dict(plain.state.places)
        number = plain.state.number(label)
        self.target = plain.number() if number is None else number
        self.classes.setdefault(self.target, (label, None))
        self._label = label

    @property
    def state(self) -> State:
        """As far as it is made."""
        return State(self.classes, self.places)

    def place(
        self,
        shot: int,
        feature: Doubles,
        key: Callable[[Sequence[int]], Doubles],
        cap: Cap | None,
    ) -> bool:
        """Put a shot here, under a key of its own if there may be another; whether it is merged."""
        keys = self.state.groups(self._label)
        if cap is None or len(keys) < cap.most:
            self.places[shot] = self.target, self._plain.number()
            return False
        if not cap.merges:
            raise Refused("ClassFull")
        nearest = int(np.argmax([key(group) @ feature for group in keys]))
        self.places[shot] = self.places[keys[nearest][0]]
        return True
