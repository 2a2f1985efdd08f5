"""What callers know of a cache together."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable

from benchmarks.torture.history import State
from benchmarks.torture.pictures import picture, sha256

MOST_SHOTS = 200


class Board:
    """What all callers know of a cache, more or less."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._shots: dict[str, tuple[str, str]] = {}
        self._versions: list[int] = []

    def reset(self, state: State, versions: Iterable[int]) -> None:
        """What is there, and the versions that one can go back to."""
        self._shots = {
            held.shot_id: (image, held.label)
            for image, held in state.shots.items()
            if held.shot_id is not None
        }
        self._versions = list(versions)

    def number(self) -> int:
        """Of a picture that was never sent."""
        with self._lock:
            number = len(self._numbers)
            self._numbers[sha256(picture(number))] = number
            return number

    def number_of(self, image: str) -> int:
        """Of the picture with this checksum."""
        return self._numbers[image]

    @property
    def full(self) -> bool:
        """Whether there are more shots than one wants."""
        return len(self._shots) > MOST_SHOTS

    def put(self, shot_id: str, image: str, label: str) -> None:
        """A shot is there, under this label."""
        with self._lock:
            self._shots[shot_id] = image, label

    def drop(self, shot_id: str) -> None:
        """A shot is gone."""
        with self._lock:
            self._shots.pop(shot_id, None)

    def drop_class(self, label: str) -> None:
        """A class's shots are gone."""
        with self._lock:
            self._shots = {key: each for key, each in self._shots.items() if each[1] != label}

    def reached(self, version: int) -> None:
        """There is such a version."""
        with self._lock:
            self._versions.append(version)

    def shot(self, chance: random.Random) -> tuple[str, str] | None:
        """Id and image of some shot, which another caller may just have deleted."""
        with self._lock:
            if not self._shots:
                return None
            shot_id = chance.choice(list(self._shots))
            return shot_id, self._shots[shot_id][0]

    def version(self, chance: random.Random) -> int | None:
        """One of the last versions."""
        with self._lock:
            return chance.choice(self._versions[-20:]) if self._versions else None
