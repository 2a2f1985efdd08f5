"""The kinds of work."""

from __future__ import annotations

from typing import Any, cast

import torch

from indexer.cache import Cache
from service.bodies import Lesson
from service.images import Prepared
from service.inputs import ClassifyQuery
from service.jobs import Questions, Task, Teaching


class Recording:
    """A cache that only notes what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def add(self, *arguments: Any, **options: Any) -> str:
        self.calls.append((arguments, options))
        return "added"


def item(sha256: str, views: int = 0) -> Prepared:
    pixels = torch.zeros(views, 3, 2, 2, dtype=torch.uint8) if views else None
    return Prepared(pixels=pixels, feature=torch.ones(2), sha256=sha256)


def teaching(label: str = "a", sha256: str = "s1", key: str | None = "k", **options: Any) -> Any:
    lesson = Lesson(label, [b""], [options.pop("caption", None)])
    job = Teaching(lesson, [item(sha256)], relabel=options.pop("relabel", False), key=key)
    cache = Recording()
    assert cast(str, job.teach(cast(Cache, cache))) == "added"
    return cache.calls[0][1]["request"]


def test_a_jobs_size_is_what_must_be_encoded() -> None:
    assert Task(lambda: None).size == 0
    assert Questions([item("a", 1), item("b"), item("c", 1)], ClassifyQuery()).size == 2
    lesson = Lesson("a", [b"", b""], [None, None])
    assert Teaching(lesson, [item("a", 3), item("b")], relabel=False, key=None).size == 3


def test_shots_are_added_with_their_captions_in_order() -> None:
    lesson = Lesson("a", [b"", b""], ["one", None])
    cache = Recording()
    job = Teaching(lesson, [item("s1"), item("s2")], relabel=True, key=None)
    job.teach(cast(Cache, cache))
    ((label, shots), options) = cache.calls[0]
    assert label == "a"
    assert [(shot.sha256, shot.caption) for shot in shots] == [("s1", "one"), ("s2", None)]
    assert options == {"relabel": True, "request": None}


def test_an_idempotency_key_stands_for_everything_that_was_asked() -> None:
    first = teaching()
    assert first.key == "k"
    assert teaching() == first
    others = [
        teaching(label="b"),
        teaching(sha256="s2"),
        teaching(caption="words"),
        teaching(relabel=True),
    ]
    prints = {each.fingerprint for each in [first, *others]}
    assert len(prints) == 5
