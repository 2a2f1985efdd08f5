"""Callers that change a cache at random, and remember what they were told."""

from __future__ import annotations

import random

from benchmarks.torture.board import Board
from benchmarks.torture.history import DeleteClass, Forget, PutClass, Relabel, Rollback
from benchmarks.torture.pictures import NO_PICTURE, picture
from benchmarks.torture.sent import Lesson, Sent, Watched, teach
from service.client import Client, ServiceUnreachable

LABELS = tuple(f"class {number}" for number in range(8))
MOST_IMAGES = 4
ADD, RELABEL, FORGET, PUT, DELETE, ROLL_BACK = range(6)
GROWING = (50, 15, 10, 12, 1, 2)
"""How often each of these comes, while the cache is small."""

SHRINKING = (20, 15, 50, 10, 3, 2)
SPOILT = 0.1
"""Share of adds with an image that is none."""

KNOWN = 0.15
"""Share of adds with an image that was taught before."""


class Caller:
    """One that sends one request after another, until nothing answers."""

    def __init__(self, url: str, board: Board, name: str) -> None:
        self._client = Client(url, timeout=60)
        self._board = board
        self._name = name
        self._random = random.Random(name)
        self._sent = Sent()

    def go(self) -> Sent:
        """What became of them all."""
        with self._client:
            try:
                while True:
                    self._one()
            except ServiceUnreachable:
                return self._sent

    def _one(self) -> None:
        weights = SHRINKING if self._board.full else GROWING
        (kind,) = self._random.choices(range(6), weights)
        if kind == ADD:
            self._add()
        elif kind == PUT:
            self._put_class()
        elif kind == DELETE:
            self._delete_class()
        elif kind == ROLL_BACK:
            self._roll_back()
        elif (shot := self._board.shot(self._random)) is not None:
            (self._relabel if kind == RELABEL else self._forget)(*shot)

    def _add(self) -> None:
        if self._random.random() < SPOILT:
            self._add_with_a_bad_image()
            return
        lesson = self._lesson()
        with Watched(self._sent, lesson.operation(), lesson) as answer:
            added = teach(self._client, lesson)
            done = lesson.operation(added.shot_ids)
            answer.got(added.cache_version, done)
            for shot_id, (image, _) in zip(added.shot_ids, done.images, strict=True):
                self._board.put(shot_id, image, lesson.label)
            self._board.reached(added.cache_version)

    def _add_with_a_bad_image(self) -> None:
        lesson = self._lesson()
        images = [*map(picture, lesson.numbers), NO_PICTURE]
        with Watched(self._sent) as answer:
            added = self._client.add(lesson.label, images, idempotency_key=lesson.key)
            answer.trouble(f"an add with a bad image made version {added.cache_version}")

    def _lesson(self) -> Lesson:
        """New images; now and then one that some class has already."""
        numbers = [self._board.number() for _ in range(self._random.randint(1, MOST_IMAGES))]
        name = f"{self._name} {numbers[0]}"
        captions = [self._random.choice([None, f"picture {number}"]) for number in numbers]
        if self._random.random() < KNOWN and (shot := self._board.shot(self._random)) is not None:
            numbers.append(self._board.number_of(shot[1]))
            captions.append(None)
        return Lesson(self._label(), tuple(numbers), tuple(captions), name)

    def _relabel(self, shot_id: str, image: str) -> None:
        label = self._label()
        with Watched(self._sent, Relabel(image, shot_id, label)) as answer:
            answer.got(self._client.relabel(shot_id, label).cache_version)
            self._board.put(shot_id, image, label)

    def _forget(self, shot_id: str, image: str) -> None:
        with Watched(self._sent, Forget(image, shot_id)) as answer:
            answer.got(self._client.forget(shot_id).cache_version)
            self._board.drop(shot_id)

    def _put_class(self) -> None:
        label = self._label()
        number = self._random.randrange(100)
        prompts = self._random.choice([None, (f"sentence {number}", "a photo of a {}.")])
        with Watched(self._sent, PutClass(label, prompts)) as answer:
            answer.got(self._client.put_class(label, prompts).cache_version)

    def _delete_class(self) -> None:
        label = self._label()
        with Watched(self._sent, DeleteClass(label)) as answer:
            answer.got(self._client.delete_class(label).cache_version)
            self._board.drop_class(label)

    def _roll_back(self) -> None:
        version = self._board.version(self._random)
        if version is None:
            return
        with Watched(self._sent, Rollback(version)) as answer:
            answer.got(self._client.rollback(version).cache_version)
            self._sent.rollbacks += 1

    def _label(self) -> str:
        return self._random.choice(LABELS)
