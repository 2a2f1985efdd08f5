"""The kinds of work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from adapter.encoder import PixelEncoder
from indexer.cache import Added, Cache
from indexer.records import Reply, Request
from service.bodies import Lesson
from service.images import Prepared
from service.inputs import ClassifyQuery
from service.jobs import Asked, Change, Questions, Task, Teaching
from tests.indexer.helpers import new_shots

ADDED = Added(("x",), (True,), (False,), "a", 1, 1)


@pytest.fixture
def one_cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache.open(tmp_path, PixelEncoder()) as cache:
        yield cache


class Recording:
    """A cache that only notes what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def add(self, *arguments: Any, **options: Any) -> Added:
        self.calls.append((arguments, options))
        return ADDED


def item(sha256: str, views: int = 0) -> Prepared:
    pixels = torch.zeros(views, 3, 2, 2, dtype=torch.uint8) if views else None
    return Prepared(pixels=pixels, feature=torch.ones(2), sha256=sha256)


def asked(*what: Any, key: str | None = None) -> Asked:
    return Asked("ops", key, what, 60.0)


def answer(added: Added) -> Reply:
    return Reply(201, added.label.encode())


def teaching(label: str = "a", sha256: str = "s1", caption: str | None = None) -> Request | None:
    lesson = Lesson(label, [b""], [caption])
    return Teaching(lesson, [item(sha256)], asked("POST", key="k"), answer, relabel=False).request()


def test_a_jobs_size_is_what_must_be_encoded() -> None:
    assert Task(lambda: None).size == 0
    assert Change(asked(), lambda cache: Reply(200, b"")).size == 0
    questions = Questions(ClassifyQuery())
    assert questions.size == 0
    questions.fill([item("a", 1), item("b"), item("c", 1)])
    assert questions.size == 2
    lesson = Lesson("a", [b"", b""], [None, None])
    assert Teaching(lesson, [item("a", 3), item("b")], asked(), answer, relabel=False).size == 3


def test_shots_are_added_with_their_captions_in_order() -> None:
    lesson = Lesson("a", [b"", b""], ["one", None])
    cache = Recording()
    job = Teaching(lesson, [item("s1"), item("s2")], asked(), answer, relabel=True)
    assert job.commit(cast(Cache, cache)) == Reply(201, b"a")
    ((label, shots), options) = cache.calls[0]
    assert label == "a"
    assert [(shot.sha256, shot.caption) for shot in shots] == [("s1", "one"), ("s2", None)]
    assert options == {"relabel": True, "caller": "ops"}


def test_an_idempotency_key_stands_for_everything_that_was_asked() -> None:
    first = teaching()
    assert first is not None
    assert (first.key, first.kept) == ("k", 60.0)
    assert teaching() == first
    others = [teaching(label="b"), teaching(sha256="s2"), teaching(caption="words")]
    others += [asked("PUT", key="k").request(), asked("PUT", "a", key="k").request()]
    prints = {each.fingerprint for each in [first, *others] if each is not None}
    assert len(prints) == 6


def test_a_change_and_its_answer_are_kept_together_or_not_at_all(one_cache: Cache) -> None:
    wanted = asked("POST", key="k")

    def work(cache: Cache) -> Reply:
        return Reply(201, str(cache.add("ant", new_shots([1])).version).encode())

    def fail(cache: Cache) -> Reply:
        work(cache)
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError):
        Change(wanted, fail).commit(one_cache)
    assert one_cache.version == 0
    first = Change(wanted, work).commit(one_cache)
    assert first == Reply(201, b"1")
    one_cache.delete_class("ant")
    assert Change(wanted, fail).commit(one_cache) == first
    assert one_cache.version == 2
