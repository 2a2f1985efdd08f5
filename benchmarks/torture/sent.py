"""Requests that change a cache, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.torture.history import Acknowledged, Add, Operation
from benchmarks.torture.pictures import picture, sha256
from service.client import Added, Client, ServiceError, ServiceUnreachable


@dataclass(frozen=True)
class Lesson:
    """What a POST /cache/add sends, so that it can be sent again."""

    label: str
    numbers: tuple[int, ...]
    captions: tuple[str | None, ...]
    key: str

    def operation(self, ids: Sequence[str] | None = None) -> Add:
        """What it does."""
        images = [sha256(picture(number)) for number in self.numbers]
        pairs = tuple(zip(images, self.captions, strict=True))
        return Add(self.label, pairs, None if ids is None else tuple(ids))


@dataclass
class Sent:
    """What became of requests.

    Attributes:
        acknowledged: those answered with a success.
        cut_off: those that may have been done or not.
        lessons: the adds among these.
        refused: how many others there were.
        rollbacks: how many of those acknowledged went back.
        troubles: answers that no caller should get.
    """

    acknowledged: list[Acknowledged] = field(default_factory=list)
    cut_off: list[Operation] = field(default_factory=list)
    lessons: list[Lesson] = field(default_factory=list)
    refused: int = 0
    rollbacks: int = 0
    troubles: list[str] = field(default_factory=list)

    @classmethod
    def together(cls, several: Iterable[Sent]) -> Sent:
        """Of several callers."""
        total = cls()
        for sent in several:
            total.acknowledged += sent.acknowledged
            total.cut_off += sent.cut_off
            total.lessons += sent.lessons
            total.refused += sent.refused
            total.rollbacks += sent.rollbacks
            total.troubles += sent.troubles
        return total


def teach(client: Client, lesson: Lesson) -> Added:
    """Send a lesson, under its key. Raises ClientError."""
    images = [picture(number) for number in lesson.numbers]
    captions = lesson.captions
    return client.add(lesson.label, images, captions=captions, idempotency_key=lesson.key)


class Watched:
    """Notes in `with` what becomes of one operation; of None, that it can only be refused."""

    def __init__(
        self, sent: Sent, operation: Operation | None = None, lesson: Lesson | None = None
    ) -> None:
        self._sent = sent
        self._operation = operation
        self._lesson = lesson

    def got(self, version: int, operation: Operation | None = None) -> None:
        """It was acknowledged, with this version; `operation` where more is known of it now."""
        done = operation or self._operation
        assert done is not None
        self._sent.acknowledged.append(Acknowledged(done, version))

    def trouble(self, what: str) -> None:
        """It was answered as it should not be."""
        self._sent.troubles.append(what)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> bool:
        if isinstance(error, ServiceError) and error.status < 500:
            self._sent.refused += 1
            return True
        if isinstance(error, ServiceError | ServiceUnreachable):
            self._cut_off()
        if isinstance(error, ServiceError):
            self.trouble(str(error))
            return True
        return False

    def _cut_off(self) -> None:
        if self._operation is not None:
            self._sent.cut_off.append(self._operation)
        if self._lesson is not None:
            self._sent.lessons.append(self._lesson)
