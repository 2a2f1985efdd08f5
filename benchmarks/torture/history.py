"""What a cache must hold, worked out from what its service acknowledged.

Each acknowledged change came with the version that it made. The versions that nobody was told of
belong to requests that were cut off, and each of those made one version or none. So the cache is
right where its shots and classes are what some such assignment gives, and wrong where none does:
a change that is lost, that is there twice, or half.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol


@dataclass(frozen=True)
class Held:
    """One shot: its label and caption; its id where that is known."""

    label: str
    caption: str | None
    shot_id: str | None


@dataclass(frozen=True)
class State:
    """A cache at one version: checksum of an image -> shot, label -> own prompts."""

    shots: Mapping[str, Held] = field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)

    def matches(self, other: State) -> bool:
        """Whether they are the same, as far as ids are known."""
        if self.classes != other.classes or self.shots.keys() != other.shots.keys():
            return False
        return all(_alike(held, other.shots[image]) for image, held in self.shots.items())

    def differences(self, other: State) -> int:
        """How many shots and classes of this one are not so in the other."""
        shots = sum(
            image not in other.shots or not _alike(held, other.shots[image])
            for image, held in self.shots.items()
        )
        wrong = object()
        classes = sum(other.classes.get(label, wrong) != own for label, own in self.classes.items())
        return shots + classes


REMEMBERED = 500
"""Versions that are known; to go back to an earlier one cannot be checked."""

Past = Mapping[int, State]
"""Version -> what the cache held then."""


class Operation(Protocol):
    """A request that changes a cache."""

    def apply(self, state: State, past: Past) -> State:
        """The state after it; the same one where it is refused or changes nothing."""


@dataclass(frozen=True)
class Add:
    """Images, by checksum, with a caption each or None; `ids` once they are known."""

    label: str
    images: tuple[tuple[str, str | None], ...]
    ids: tuple[str, ...] | None = None

    def apply(self, state: State, past: Past) -> State:
        """All of it, or nothing where an image has another label."""
        known = [state.shots[image] for image, _ in self.images if image in state.shots]
        if any(held.label != self.label for held in known):
            return state
        ids = self.ids or (None,) * len(self.images)
        fresh = {
            image: Held(self.label, caption, shot_id)
            for (image, caption), shot_id in zip(self.images, ids, strict=True)
            if image not in state.shots
        }
        classes = {self.label: None, **state.classes}
        if not fresh and len(classes) == len(state.classes):
            return state
        return State({**state.shots, **fresh}, classes)


@dataclass(frozen=True)
class Relabel:
    """A shot, by its image's checksum and its id, to another class."""

    image: str
    shot_id: str
    label: str

    def apply(self, state: State, past: Past) -> State:
        """The shot moved, and its class made."""
        held = state.shots.get(self.image)
        if held is None or held.shot_id != self.shot_id or held.label == self.label:
            return state
        moved = {**state.shots, self.image: replace(held, label=self.label)}
        return State(moved, {self.label: None, **state.classes})


@dataclass(frozen=True)
class Forget:
    """A shot deleted."""

    image: str
    shot_id: str

    def apply(self, state: State, past: Past) -> State:
        """All but the shot."""
        held = state.shots.get(self.image)
        if held is None or held.shot_id != self.shot_id:
            return state
        left = {image: each for image, each in state.shots.items() if image != self.image}
        return State(left, state.classes)


@dataclass(frozen=True)
class PutClass:
    """A class made, or given other prompts."""

    label: str
    prompts: tuple[str, ...] | None

    def apply(self, state: State, past: Past) -> State:
        """With the class as it was put."""
        if self.label in state.classes and state.classes[self.label] == self.prompts:
            return state
        return State(state.shots, {**state.classes, self.label: self.prompts})


@dataclass(frozen=True)
class DeleteClass:
    """A class deleted, with its shots."""

    label: str

    def apply(self, state: State, past: Past) -> State:
        """Without them."""
        if self.label not in state.classes:
            return state
        return State(
            {image: held for image, held in state.shots.items() if held.label != self.label},
            {label: own for label, own in state.classes.items() if label != self.label},
        )


@dataclass(frozen=True)
class Rollback:
    """Everything as it was at a version."""

    version: int

    def apply(self, state: State, past: Past) -> State:
        """That version's state, as a new one: going back to what is there makes a version too."""
        return replace(past[self.version]) if self.version in past else state


@dataclass(frozen=True)
class Acknowledged:
    """A change, and the version that its answer told."""

    operation: Operation
    version: int


class History:
    """All versions of a cache that are known.

    Attributes:
        version: the last.
        past: the state at each.
        stuck: where the last explanation failed; empty where it did not.
    """

    def __init__(self) -> None:
        self.version = 0
        self.stuck = ""
        self.past: dict[int, State] = {0: State()}

    @property
    def state(self) -> State:
        """At the last version."""
        return self.past[self.version]

    def extend(
        self,
        acknowledged: Sequence[Acknowledged],
        cut_off: Sequence[Operation],
        version: int,
        observed: State,
    ) -> bool:
        """Go on to what was observed at a version; whether these operations explain it.

        If they do not, what was observed counts from then on all the same.
        """
        told: dict[int, list[Operation]] = {}
        for each in acknowledged:
            told.setdefault(each.version, []).append(each.operation)
        explained = self.version <= min(told, default=version) <= max(told, default=0) <= version
        explained |= not told
        explained &= _at_rest(told.get(self.version, ()), self.state, self.past)
        paths: list[tuple[dict[int, State], list[Operation]]] = [(self.past, list(cut_off))]
        self.stuck = ""
        for at in range(self.version + 1, version + 1):
            paths = [step for path in paths for step in _steps(at, told.get(at, ()), *path)]
            if not paths:
                self.stuck = f"at version {at}, told {told.get(at)}, with {cut_off} cut off"
                break
        found = next((past for past, _ in paths if past[version].matches(observed)), None)
        if found is None and not self.stuck:
            self.stuck = f"only at the end, with {cut_off} cut off"
        past = found or self.past
        # With the ids of what nobody had been told of.
        self.past = {at: past[at] for at in past if at > version - REMEMBERED} | {version: observed}
        self.version = version
        return explained and found is not None

    def without_cut_off(self, acknowledged: Sequence[Acknowledged]) -> State:
        """What the acknowledged changes alone come to."""
        past = dict(self.past)
        state = self.state
        for each in sorted(acknowledged, key=lambda each: each.version):
            state = each.operation.apply(state, past)
            past[each.version] = state
        return state


def _steps(
    version: int, told: Sequence[Operation], past: Past, cut_off: list[Operation]
) -> Iterator[tuple[dict[int, State], list[Operation]]]:
    """In which ways a version can have been made: by one told of it, or by one cut off.

    By one cut off also where others were told of it: those that found nothing left to change.
    """
    before = past[version - 1]
    left_without = [
        (cut_off[row], cut_off[:row] + cut_off[row + 1 :]) for row in range(len(cut_off))
    ]
    for operation, left in [*((each, cut_off) for each in told), *left_without]:
        after = operation.apply(before, past)
        if after is before or not _at_rest(told, after, past, operation):
            continue
        yield {**past, version: after}, left


def _at_rest(
    told: Sequence[Operation], state: State, past: Past, maker: Operation | None = None
) -> bool:
    """Whether those told of a version, but the one that made it, change nothing in its state."""
    return all(
        operation is maker or operation.apply(state, past).matches(state) for operation in told
    )


def _alike(one: Held, other: Held) -> bool:
    ids = {one.shot_id, other.shot_id} - {None}
    return (one.label, one.caption) == (other.label, other.caption) and len(ids) < 2
