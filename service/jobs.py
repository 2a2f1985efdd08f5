"""The kinds of work that the owner of encoder and cache does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from indexer.cache import Added, Cache, NewShot
from indexer.records import Reply, Request
from service.batching import Job
from service.bodies import Lesson
from service.images import Prepared
from service.inputs import ClassifyQuery
from service.pictures import Pictures


class Task(Job):
    """Anything that only the owner may do.

    Attributes:
        work: what to do.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self.work = work


class Questions(Job):
    """Images of one request to be classified."""

    def __init__(self, query: ClassifyQuery) -> None:
        super().__init__()
        self.fill(())
        self.query = query

    def fill(self, prepared: Sequence[Prepared]) -> None:
        """Give it its images, before it is queued; from any thread."""
        self.prepared = prepared
        self.pictures = Pictures(prepared)
        self.size = self.left = self.pictures.count


@dataclass(frozen=True)
class Asked:
    """Who asked for a change, and under which idempotency key.

    Attributes:
        caller: name of the API key; None without keys.
        key: of the request, kept apart from other callers' keys; None without one.
        what: all that the request asks for, as plain values: the same again is the same request.
        kept: seconds for which the answer is kept under its key.
    """

    caller: str | None
    key: str | None
    what: Sequence[Any]
    kept: float

    def request(self, *more: Any) -> Request | None:
        """The idempotency key with the checksum of what is asked, and of `more` of it."""
        if self.key is None:
            return None
        text = json.dumps([*self.what, *more])
        return Request(self.key, hashlib.sha256(text.encode()).hexdigest(), self.kept)


class Change(Job):
    """A change of the cache, and the answer to it.

    Attributes:
        asked: by whom.
        work: makes the change, and the answer.
    """

    in_order = True

    def __init__(self, asked: Asked, work: Callable[[Cache], Reply], size: int = 0) -> None:
        super().__init__(size)
        self.asked = asked
        self.work = work

    def commit(self, cache: Cache) -> Reply:
        """Change the cache and keep the answer, both or neither; or the answer given before.

        Raises:
            CacheError: the change cannot be made.
        """
        request = self.request()
        if request is None:
            return self.work(cache)
        with cache.group():
            known = cache.answer(request)
            if known is not None:
                return known
            reply = self.work(cache)
            cache.remember(request, reply)
        return reply

    def request(self) -> Request | None:
        """The idempotency key, if there is one."""
        return self.asked.request()


class Teaching(Change):
    """Shots of one request to be added, all or none."""

    def __init__(
        self,
        lesson: Lesson,
        prepared: Sequence[Prepared],
        asked: Asked,
        answer: Callable[[Added], Reply],
        *,
        relabel: bool,
    ) -> None:
        self.pictures = Pictures(prepared)
        super().__init__(asked, lambda cache: answer(self._teach(cache)), self.pictures.count)
        self.lesson = lesson
        self.prepared = prepared
        self.relabel = relabel

    def request(self) -> Request | None:
        """The idempotency key, if there is one."""
        images = [item.sha256 for item in self.prepared]
        return self.asked.request(self.lesson.label, images, self.lesson.captions)

    def _teach(self, cache: Cache) -> Added:
        shots = [
            NewShot(
                feature=item.feature,
                sha256=item.sha256,
                caption=caption,
                thumbnail=item.thumbnail,
                views=item.views,
            )
            for item, caption in zip(self.prepared, self.lesson.captions, strict=True)
            if item.feature is not None
        ]
        return cache.add(self.lesson.label, shots, relabel=self.relabel, caller=self.asked.caller)
