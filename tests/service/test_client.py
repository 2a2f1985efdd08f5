"""The client against a service, with and without asyncio."""

from __future__ import annotations

import asyncio
import inspect
import socket
from pathlib import Path

import httpx
import pytest

from service import client as public
from service.client import (
    AsyncClient,
    Client,
    Failure,
    ServiceError,
    ServiceUnreachable,
    Verdict,
)
from tests.service.serving import GREEN, RED, Service, picture


def test_public_names() -> None:
    assert public.__all__ == sorted(public.__all__)
    assert all(hasattr(public, name) for name in public.__all__)


def test_the_two_clients_have_the_same_calls() -> None:
    def calls(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(value).parameters)
            for name, value in vars(kind).items()
            if inspect.isfunction(value) and not name.startswith("_")
        }

    assert calls(Client) == calls(AsyncClient)


def test_a_key_is_sent_and_not_shown() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"status": "ok"})

    transport = httpx.MockTransport(answer)
    with Client(key="xma_mine", transport=transport) as client:
        client.ready()
        assert "xma_mine" not in f"{client!r} {seen[0].headers!r}"

    async def ask() -> None:
        async with AsyncClient(key="xma_mine", transport=transport) as client:
            await client.ready()

    asyncio.run(ask())
    assert [request.headers["Authorization"] for request in seen] == ["Bearer xma_mine"] * 2


def test_teaching_asking_and_looking(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(picture(RED))
    with Client(service.url) as client:
        assert client.ready().status == "ok"
        added = client.add("red", [path, picture(RED, mark=1)], captions=["a red one", None])
        assert added.created == [True, True]
        client.add("gr/een", [picture(GREEN)])
        service.settle()
        answer = client.classify(path, top_k=1, explain=2)
        assert (answer.label, len(answer.predictions), len(answer.neighbors)) == ("red", 1, 2)
        assert client.classify(picture(RED), min_confidence=1.0).unknown
        batch = client.classify_batch([path, b"broken", picture(GREEN)])
        assert [type(each) for each in batch.results] == [Verdict, Failure, Verdict]
        state = client.cache()
        assert (state.classes, state.shots) == (2, 3)
        assert client.version().model == "pixel-encoder"
        adapter = client.adapter()
        assert (adapter.number, adapter.method, adapter.training) == (None, "full", None)


def test_an_embedding(service: Service) -> None:
    service.http.post("/cache/add", json={"label": "x", "embeddings": [[1.0] * 32]})
    with Client(service.url) as client:
        assert client.classify(embedding=[1] * 32).label == "x"


def test_shots(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "PAGE", 2)
    with Client(service.url) as client:
        ids = client.add("red", [picture(RED, mark=mark) for mark in range(5)]).shot_ids
        assert [shot.shot_id for shot in client.shots()] == ids
        assert [shot.shot_id for shot in client.shots("red")] == ids
        assert client.shot(ids[0]).label == "red"
        assert client.relabel(ids[0], "crimson").label == "crimson"
        assert client.thumbnail(ids[0])[8:12] == b"WEBP"
        assert client.forget(ids[1]).shot_id == ids[1]
        assert len(list(client.shots("red"))) == 3
        with pytest.raises(ServiceError) as refused:
            client.shot(ids[1])
        assert refused.value.status == 404


def test_classes(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "PAGE", 2)
    labels = ["a/b", "..", "日本", "50 %"]
    with Client(service.url) as client:
        for label in labels:
            assert client.put_class(label).label == label
        assert client.put_class("..", ["two dots"]).prompts == ["two dots"]
        assert [each.label for each in client.classes()] == labels
        assert client.class_info("..").prompts == ["two dots"]
        assert client.delete_class("a/b").shots_deleted == 0
        with pytest.raises(ServiceError, match="no class has the label"):
            client.class_info("a/b")


def test_history(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "PAGE", 2)
    with Client(service.url) as client:
        before = service.version
        added = client.add("red", [picture(RED, mark=mark) for mark in range(4)])
        client.delete_class("red")
        changes = list(client.versions())
        assert [each.version for each in changes] == list(range(before + 2, -1, -1))
        assert [each.action for each in changes[:2]] == ["delete_class", "add"]
        gone = list(client.diff(added.cache_version, before + 2))
        assert [each.shot_id for each in gone] == [None, *added.shot_ids]
        rolled = client.rollback(added.cache_version)
        assert (rolled.restored_version, rolled.shots) == (added.cache_version, 4)
        with pytest.raises(ServiceError, match="expected a version from 0"):
            client.rollback(rolled.cache_version + 1)


def test_history_without_waiting(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "PAGE", 2)

    async def scenario() -> None:
        async with AsyncClient(service.url) as client:
            before = service.version
            added = await client.add("red", [picture(RED, mark=mark) for mark in range(4)])
            found = [each async for each in client.diff(before, added.cache_version)]
            assert [each.shot_id for each in found] == [None, *added.shot_ids]
            versions = [each.version async for each in client.versions()]
            assert versions == list(range(added.cache_version, -1, -1))
            assert (await client.rollback(before)).shots == 0

    asyncio.run(scenario())


def test_a_conflict_and_how_it_is_overcome(service: Service) -> None:
    with Client(service.url) as client:
        client.add("red", [picture()])
        with pytest.raises(ServiceError) as refused:
            client.add("crimson", [picture()])
        assert refused.value.status == 409
        assert refused.value.problem.model_dump()["label"] == "red"
        assert client.add("crimson", [picture()], relabel=True).shots_in_class == 1


def test_an_idempotency_key(service: Service) -> None:
    with Client(service.url) as client:
        first = client.add("red", [picture()], idempotency_key="client-1")
        client.forget(first.shot_ids[0])
        again = client.add("red", [picture()], idempotency_key="client-1")
        assert again.shot_ids == first.shot_ids


def test_nobody_answers() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with Client(url) as client, pytest.raises(ServiceUnreachable, match="xmadapter serve"):
            client.ready()


def test_nobody_answers_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            Client(url, timeout=0.05) as client,
            pytest.raises(ServiceUnreachable, match="in time"),
        ):
            client.ready()


def test_without_waiting(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "PAGE", 2)

    async def scenario() -> None:
        async with AsyncClient(service.url) as client:
            assert (await client.ready()).status == "ok"
            ids = (await client.add("red", [picture(mark=mark) for mark in range(3)])).shot_ids
            await client.put_class("green")
            answers = await asyncio.gather(*(client.classify(picture()) for _ in range(3)))
            assert {answer.neighbors[0].label for answer in answers} == {"red"}
            batch = await client.classify_batch([picture(), b""])
            assert [type(each) for each in batch.results] == [Verdict, Failure]
            assert [shot.shot_id async for shot in client.shots("red")] == ids
            assert [each.label async for each in client.classes()] == ["red", "green"]
            assert (await client.shot(ids[0])).label == "red"
            assert (await client.relabel(ids[0], "crimson")).label == "crimson"
            assert await client.thumbnail(ids[0])
            assert (await client.forget(ids[1])).shot_id == ids[1]
            assert (await client.class_info("crimson")).shots == 1
            assert (await client.delete_class("crimson")).shots_deleted == 1
            assert (await client.cache()).shots == 1
            assert (await client.version()).model == "pixel-encoder"
            with pytest.raises(ServiceError):
                await client.shot(ids[1])

    asyncio.run(scenario())


def test_nobody_answers_without_waiting() -> None:
    async def scenario() -> None:
        async with AsyncClient("http://127.0.0.1:9") as client:
            await client.ready()

    with pytest.raises(ServiceUnreachable):
        asyncio.run(scenario())
