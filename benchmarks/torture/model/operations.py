"""Changes and questions that are put to a cache and to its plain twin alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from benchmarks.torture.model import lessons
from benchmarks.torture.model.plain import Plain, Prompts
from benchmarks.torture.model.product import Outcome, Side

MOST = 1000
"""Numbers that choose among what there is are below this."""

Images = tuple[tuple[int, str | None], ...]


class Operation(Protocol):
    """One call of a cache."""

    def on(self, side: Side, plain: Plain) -> Outcome:
        """Make it; `plain` says what there is to choose from."""


@dataclass(frozen=True)
class Add:
    """Pictures with captions."""

    label: str
    images: Images
    relabel: bool

    def on(self, side: Side, plain: Plain) -> Outcome:
        """See `Operation`; so are the others."""
        return side.add(self.label, self.images, self.relabel, "a teacher")


@dataclass(frozen=True)
class Relabel:
    """A shot to another class, or the same."""

    shot: int
    label: str

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.relabel(_shot(plain, self.shot), self.label, None)


@dataclass(frozen=True)
class Forget:
    """A shot."""

    shot: int

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.forget(_shot(plain, self.shot), None)


@dataclass(frozen=True)
class ForgetThis:
    """A shot by its own number."""

    shot: int

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.forget(self.shot, None)


@dataclass(frozen=True)
class PutClass:
    """A class with these prompts."""

    label: str
    prompts: Prompts

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.put_class(self.label, self.prompts, None)


@dataclass(frozen=True)
class DeleteClass:
    """A class with its shots."""

    label: str

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.delete_class(self.label, "a tidy one")


@dataclass(frozen=True)
class Rollback:
    """To a version."""

    version: int

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.rollback(_version(plain, self.version), None)


@dataclass(frozen=True)
class Differences:
    """Between two versions."""

    before: int
    after: int

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.differences(_version(plain, self.before), _version(plain, self.after))


@dataclass(frozen=True)
class Versions:
    """All, page by page."""

    limit: int

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.versions(10 * self.limit)


@dataclass(frozen=True)
class Shots:
    """All, or of a class, page by page."""

    label: str | None
    limit: int

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.shots(self.label, self.limit)


@dataclass(frozen=True)
class Classes:
    """All, page by page."""

    limit: int

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.classes(self.limit)


@dataclass(frozen=True)
class Shot:
    """One, with its thumbnail."""

    shot: int

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.shot(_shot(plain, self.shot))


@dataclass(frozen=True)
class OneClass:
    """One class."""

    label: str

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.class_info(self.label)


@dataclass(frozen=True)
class Find:
    """The shot of a picture."""

    picture: int

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.find(self.picture)


@dataclass(frozen=True)
class Once:
    """An answer under an idempotency key: the one that there is, or a further one."""

    key: str
    fingerprint: str

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.once(self.key, self.fingerprint)


@dataclass(frozen=True)
class Counts:
    """How many classes and shots there are, and the version."""

    def on(self, side: Side, plain: Plain) -> Outcome:
        return side.counts()


def _shot(plain: Plain, number: int) -> int:
    """Mostly a shot that is there; now and then one that was, or never was."""
    there = sorted(plain.state.places)
    if not there or number % 8 == 7:
        return number % (len(plain.shots) + 1)
    return there[number % len(there)]


def _version(plain: Plain, number: int) -> int:
    """Mostly one that one can go back to; now and then one before or after these."""
    if number % 16 == 15:
        return plain.version + 1 if number % 32 == 15 else plain.oldest - 1
    return plain.oldest + number % (plain.version - plain.oldest + 1)


_numbers = st.integers(0, MOST - 1)
_limits = st.integers(1, 9)
_labels = st.sampled_from(4 * lessons.LABELS + lessons.NO_LABELS[:1])
_any_labels = st.sampled_from(8 * lessons.LABELS + lessons.NO_LABELS)
_pictures = st.sampled_from([*range(lessons.PICTURES)] * 2 + [lessons.BROKEN])
_captions = st.sampled_from(6 * lessons.CAPTIONS + (lessons.NO_CAPTION,))
_prompts = st.sampled_from(4 * lessons.PROMPTS + lessons.NO_PROMPTS)
_images = st.lists(st.tuples(_pictures, _captions), min_size=1, max_size=8).map(tuple)


def _weighed(*weighed: tuple[int, SearchStrategy[Operation]]) -> SearchStrategy[Operation]:
    """One of these, each as often as its weight says."""
    # `one_of` takes equal strategies for one.
    numbers = [number for number, (weight, _) in enumerate(weighed) for _ in range(weight)]
    return st.sampled_from(numbers).flatmap(lambda number: weighed[number][1])


CHANGES = _weighed(
    (8, st.builds(Add, _any_labels, _images, st.booleans())),
    (2, st.builds(Relabel, _numbers, _labels)),
    (2, st.builds(Forget, _numbers)),
    (2, st.builds(PutClass, _any_labels, _prompts)),
    (1, st.builds(DeleteClass, _labels)),
    (2, st.builds(Rollback, _numbers)),
    (1, st.builds(Once, st.sampled_from("abc"), st.sampled_from("xy"))),
)
QUESTIONS = _weighed(
    (2, st.builds(Differences, _numbers, _numbers)),
    (1, st.builds(Versions, _limits)),
    (1, st.builds(Shots, st.none() | _labels, _limits)),
    (1, st.builds(Classes, _limits)),
    (1, st.builds(Shot, _numbers)),
    (1, st.builds(OneClass, _labels)),
    (1, st.builds(Find, st.sampled_from(range(lessons.PICTURES)))),
    (1, st.just(Counts())),
)
