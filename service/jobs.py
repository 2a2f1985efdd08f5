"""The kinds of work that the owner of encoder and cache does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from indexer.cache import Added, Cache, NewShot
from indexer.records import Request
from service.batching import Job
from service.bodies import Lesson
from service.images import Prepared
from service.inputs import ClassifyQuery


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

    def __init__(self, prepared: Sequence[Prepared], query: ClassifyQuery) -> None:
        super().__init__(sum(item.pixels is not None for item in prepared))
        self.prepared = prepared
        self.query = query


class Teaching(Job):
    """Shots of one request to be added, all or none."""

    def __init__(
        self, lesson: Lesson, prepared: Sequence[Prepared], *, relabel: bool, key: str | None
    ) -> None:
        super().__init__(sum(len(item.pixels) for item in prepared if item.pixels is not None))
        self.lesson = lesson
        self.prepared = prepared
        self.relabel = relabel
        self.key = key

    def teach(self, cache: Cache) -> Added:
        """Commit the encoded shots. Raises CacheError."""
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
        return cache.add(self.lesson.label, shots, relabel=self.relabel, request=self._request())

    def _request(self) -> Request | None:
        if self.key is None:
            return None
        asked = [
            self.lesson.label,
            [item.sha256 for item in self.prepared],
            self.lesson.captions,
            self.relabel,
        ]
        digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
        return Request(self.key, digest)
