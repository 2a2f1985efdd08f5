"""The plain cache, asked as a cache is, and how the outcomes of both are compared."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.torture.model import lessons
from benchmarks.torture.model.plain import Cap, Images, Plain, Prompts, Refused
from benchmarks.torture.model.product import Outcome
from indexer.errors import CacheError
from indexer.records import Reply


class Twin:
    """The plain cache, asked as `Product` is."""

    def __init__(self, plain: Plain, cap: Cap | None) -> None:
        self._plain = plain
        self._cap = cap

    def add(self, label: str, images: Images, relabel: bool, caller: str | None) -> Outcome:
        _refuse(
            LabelError=label in lessons.NO_LABELS,
            FeatureError=any(picture == lessons.BROKEN for picture, _ in images),
            PromptError=any(caption == lessons.NO_CAPTION for _, caption in images),
        )
        cleaned = [(picture, (caption or "").strip() or None) for picture, caption in images]
        return (
            self._plain.add(label, cleaned, relabel, self._cap, caller),
            label,
            self._plain.version,
        )

    def relabel(self, shot: int, label: str, caller: str | None) -> Outcome:
        _refuse(LabelError=label in lessons.NO_LABELS)
        self._plain.relabel(shot, label, self._cap, caller)
        return self._shot(shot), self._plain.version

    def forget(self, shot: int, caller: str | None) -> Outcome:
        self._plain.forget(shot, caller)
        return self._plain.version

    def put_class(self, label: str, prompts: Prompts, caller: str | None) -> Outcome:
        _refuse(LabelError=label in lessons.NO_LABELS, PromptError=prompts in lessons.NO_PROMPTS)
        created = self._plain.put_class(label, prompts, caller)
        return self._class(self._plain.known(label)), created, self._plain.version

    def delete_class(self, label: str, caller: str | None) -> Outcome:
        return self._plain.delete_class(label, caller), self._plain.version

    def rollback(self, version: int, caller: str | None) -> Outcome:
        self._plain.rollback(version, caller)
        return self._plain.version

    def differences(self, before: int, after: int) -> Outcome:
        return self._plain.differences(before, after)

    def versions(self, limit: int) -> Outcome:
        return [
            (version, fact.action, fact.subject, fact.caller, len(state.classes), len(state.places))
            for version in range(self._plain.version, self._plain.oldest - 1, -1)
            for fact, state in [(self._plain.facts[version], self._plain.past[version])]
        ]

    def shots(self, label: str | None, limit: int) -> Outcome:
        if label is not None:
            self._plain.known(label)
        state = self._plain.state
        return [
            self._shot(shot) for shot in sorted(state.places) if label in (None, state.label(shot))
        ]

    def classes(self, limit: int) -> Outcome:
        return [self._class(number) for number in sorted(self._plain.state.classes)]

    def shot(self, shot: int) -> Outcome:
        if shot not in self._plain.state.places:
            raise Refused("UnknownShot")
        return self._shot(shot), lessons.thumbnail(self._plain.shots[shot][0])

    def class_info(self, label: str) -> Outcome:
        return self._class(self._plain.known(label))

    def find(self, picture: int) -> Outcome:
        state = self._plain.state
        for shot in state.places:
            if self._plain.shots[shot][0] == picture:
                return shot, state.label(shot)
        return None

    def once(self, key: str, fingerprint: str) -> Outcome:
        known = self._plain.replies.get(key)
        if known is None:
            self._plain.replies[key] = fingerprint, f"{key} {fingerprint}".encode()
            return None
        if known[0] != fingerprint:
            raise Refused("IdempotencyConflict")
        return Reply(200, known[1])

    def counts(self) -> Outcome:
        state = self._plain.state
        return len(state.classes), len(state.places), self._plain.version

    def _shot(self, shot: int) -> Outcome:
        picture, caption = self._plain.shots[shot]
        oldest = self._plain.state.sharing(shot)[0]
        checksum = lessons.checksum(picture)
        merged = None if oldest == shot else oldest
        return shot, self._plain.state.label(shot), caption, checksum, merged

    def _class(self, number: int) -> Outcome:
        label, prompts = self._plain.state.classes[number]
        shots = sum(place[0] == number for place in self._plain.state.places.values())
        return label, prompts, shots


def outcome(call: Callable[[], Outcome]) -> Outcome:
    """What a call gives, or the names of the errors that it may be refused with."""
    try:
        return call()
    except Refused as refused:
        return refused.names
    except CacheError as error:
        return frozenset({type(error).__name__})


def same(found: Outcome, expected: Outcome) -> bool:
    """Whether an outcome is one that was expected."""
    if isinstance(found, frozenset) and isinstance(expected, frozenset):
        return found <= expected
    return found == expected


def _refuse(**reasons: bool) -> None:
    """Raise Refused with the names of the reasons that hold, if any does."""
    names = [name for name, holds in reasons.items() if holds]
    if names:
        raise Refused(*names)
