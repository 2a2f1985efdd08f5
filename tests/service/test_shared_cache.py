"""Several services on one cache: each sees what another acknowledged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.errors import CacheDamaged
from indexer.records import Delta
from indexer.store import Store
from tests.service.serving import GREEN, RED, Service, eventually, picture, serving


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Service, Service]]:
    with serving(tmp_path / "cache") as one, serving(tmp_path / "cache") as other:
        yield one, other


def test_each_answers_with_what_the_other_was_taught(pair: tuple[Service, Service]) -> None:
    for turn in range(10):
        teacher, asked = pair if turn % 2 else pair[::-1]
        taught = teacher.teach("red", picture(RED, mark=turn + 1)).json()
        found = asked.ask(picture(RED), explain=100).json()
        assert found["cache_version"] >= taught["cache_version"]
        assert taught["shot_ids"][0] in {each["shot_id"] for each in found["neighbors"]}


def test_every_kind_of_change_is_seen(pair: tuple[Service, Service]) -> None:
    one, other = pair
    (shot_id,) = one.teach("red", picture(RED)).json()["shot_ids"]
    assert other.http.patch(f"/cache/shots/{shot_id}", json={"label": "green"}).status_code == 200
    labels = {each["label"] for each in one.ask(picture(RED)).json()["predictions"]}
    assert labels == {"red", "green"}
    assert one.ask(picture(RED)).json()["neighbors"][0]["label"] == "green"
    assert one.delete_class("red").status_code == 200
    assert other.ask(picture(RED)).json()["predictions"][0]["label"] == "green"
    assert other.http.delete(f"/cache/shots/{shot_id}").status_code == 200
    assert one.ask(picture(RED)).json()["neighbors"] == []
    assert one.http.get(f"/cache/shots/{shot_id}").status_code == 404


def test_the_same_request_to_both_is_answered_once(pair: tuple[Service, Service]) -> None:
    files, headers = [("image", picture(GREEN))], {"Idempotency-Key": "both"}
    first, second = (
        each.http.post("/cache/add", data={"label": "green"}, files=files, headers=headers)
        for each in pair
    )
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert pair[0].http.get("/cache").json()["shots"] == 1


def test_one_that_nobody_asks_keeps_up_too(pair: tuple[Service, Service]) -> None:
    one, other = pair
    one.teach("red", picture(RED), picture(RED, mark=1))
    one.teach("green", picture(GREEN), picture(GREEN, mark=1))
    eventually(lambda: other.engine.cache.fitted_version == 2)
    assert other.engine.cache.answered_version == 2


def test_one_that_cannot_read_what_another_did_says_so_and_recovers(
    pair: tuple[Service, Service],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, other = pair
    one.teach("red", picture(RED))
    one.settle()
    eventually(lambda: other.engine.cache.answered_version == 1)
    monkeypatch.setattr(logging.getLogger("xmadapter"), "propagate", True)

    def torn(store: Store, after: int, most: int | None = None) -> Delta | None:
        raise CacheDamaged("torn")

    with monkeypatch.context() as broken:
        broken.setattr(Store, "delta", torn)
        one.http.put("/classes/green")
        detail = one.problem(one.ask(picture(RED)), 503, "damaged")
        assert detail == "torn"
        eventually(lambda: "cache cannot be followed" in caplog.text)
    for each in pair:
        assert each.ask(picture(RED)).json()["cache_version"] == 2
