"""A cache behind an interface that speaks of shots by number, and of outcomes in plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from benchmarks.torture.model import lessons
from benchmarks.torture.model.plain import Images, Prompts
from indexer.cache import Cache
from indexer.records import Page, Reply, Request, ShotInfo

Item = TypeVar("Item")
Outcome = object
"""What a call gave, in a form that can be compared."""


class Side(Protocol):
    """What can be asked of both; see `indexer.cache.Cache`."""

    def add(self, label: str, images: Images, relabel: bool, caller: str | None) -> Outcome: ...
    def relabel(self, shot: int, label: str, caller: str | None) -> Outcome: ...
    def forget(self, shot: int, caller: str | None) -> Outcome: ...
    def put_class(self, label: str, prompts: Prompts, caller: str | None) -> Outcome: ...
    def delete_class(self, label: str, caller: str | None) -> Outcome: ...
    def rollback(self, version: int, caller: str | None) -> Outcome: ...
    def differences(self, before: int, after: int) -> Outcome: ...
    def versions(self, limit: int) -> Outcome: ...
    def shots(self, label: str | None, limit: int) -> Outcome: ...
    def classes(self, limit: int) -> Outcome: ...
    def shot(self, shot: int) -> Outcome: ...
    def class_info(self, label: str) -> Outcome: ...
    def find(self, picture: int) -> Outcome: ...
    def once(self, key: str, fingerprint: str) -> Outcome: ...
    def counts(self) -> Outcome: ...


@dataclass
class Names:
    """What shots are called: number -> id, as they were made."""

    ids: list[str] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def number(self, shot_id: str) -> int:
        """Of an id; the next one if it is new."""
        if shot_id not in self._numbers:
            self._numbers[shot_id] = len(self.ids)
            self.ids.append(shot_id)
        return self._numbers[shot_id]

    def id(self, number: int) -> str:
        """Of a shot; nobody's where there was none."""
        return self.ids[number] if number < len(self.ids) else "nobody"


class Product:
    """A cache."""

    def __init__(self, cache: Cache, names: Names) -> None:
        self._cache = cache
        self._names = names

    def add(self, label: str, images: Images, relabel: bool, caller: str | None) -> Outcome:
        shots = [lessons.shot(*image) for image in images]
        added = self._cache.add(label, shots, relabel=relabel, caller=caller)
        ids = [self._names.number(shot_id) for shot_id in added.shot_ids]
        created, merged = list(added.created), list(added.merged)
        return (ids, created, merged, added.shots_in_class), added.label, added.version

    def relabel(self, shot: int, label: str, caller: str | None) -> Outcome:
        info, version = self._cache.relabel(self._names.id(shot), label, caller=caller)
        return self._shot(info), version

    def forget(self, shot: int, caller: str | None) -> Outcome:
        return self._cache.forget(self._names.id(shot), caller=caller)

    def put_class(self, label: str, prompts: Prompts, caller: str | None) -> Outcome:
        info, created, version = self._cache.put_class(label, prompts, caller=caller)
        return (info.label, info.prompts, info.shots), created, version

    def delete_class(self, label: str, caller: str | None) -> Outcome:
        return self._cache.delete_class(label, caller=caller)

    def rollback(self, version: int, caller: str | None) -> Outcome:
        return self._cache.rollback(version, caller=caller)

    def differences(self, before: int, after: int) -> Outcome:
        return [
            (each.what, each.label, self._known(each.shot_id), each.previous_label)
            for each in self._cache.differences(before, after)
        ]

    def versions(self, limit: int) -> Outcome:
        pages = _pages(lambda cursor: self._cache.versions(limit, cursor))
        found = [
            (each.version, each.action, each.subject, each.caller, each.classes, each.shots)
            for each in pages
        ]
        about_shots = ("relabel", "forget")
        return [
            (row[0], row[1], self._known(row[2]) if row[1] in about_shots else row[2], *row[3:])
            for row in found
        ]

    def shots(self, label: str | None, limit: int) -> Outcome:
        return [
            self._shot(info)
            for info in _pages(lambda cursor: self._cache.shots(label, limit, cursor))
        ]

    def classes(self, limit: int) -> Outcome:
        return [
            (info.label, info.prompts, info.shots)
            for info in _pages(lambda cursor: self._cache.classes(limit, cursor))
        ]

    def shot(self, shot: int) -> Outcome:
        shot_id = self._names.id(shot)
        return self._shot(self._cache.shot(shot_id)), self._cache.thumbnail(shot_id)

    def class_info(self, label: str) -> Outcome:
        info = self._cache.class_info(label)
        return info.label, info.prompts, info.shots

    def find(self, picture: int) -> Outcome:
        found = self._cache.find(lessons.checksum(picture))
        return None if found is None else (self._known(found[0]), found[1])

    def once(self, key: str, fingerprint: str) -> Outcome:
        request = Request(key, fingerprint)
        known = self._cache.answer(request)
        if known is None:
            self._cache.remember(request, Reply(200, f"{key} {fingerprint}".encode()))
        return known

    def counts(self) -> Outcome:
        info = self._cache.info()
        return info.classes, info.shots, info.version

    def _shot(self, info: ShotInfo) -> Outcome:
        merged = self._known(info.merged_into)
        return self._known(info.shot_id), info.label, info.caption, info.sha256, merged

    def _known(self, shot_id: str | None) -> int | None:
        return None if shot_id is None else self._names.number(shot_id)


def _pages(page: Callable[[str | None], Page[Item]]) -> Iterator[Item]:
    cursor = None
    while True:
        found = page(cursor)
        yield from found.items
        if (cursor := found.next_cursor) is None:
            return
