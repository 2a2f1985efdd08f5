"""POST /cache/add and GET /cache."""

from __future__ import annotations

import base64
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from indexer.cache import Cache
from tests.service.serving import BLUE, GREEN, RED, Service, eventually, picture


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_what_is_taught_is_known_to_the_next_request(service: Service) -> None:
    for label, colour in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        response = service.teach(label, picture(colour), picture(colour, mark=5))
        assert response.status_code == 201
        taught = response.json()
        found = service.ask(picture(colour, mark=9)).json()
        assert found["cache_version"] >= taught["cache_version"]
        assert found["neighbors"][0]["shot_id"] in taught["shot_ids"]
        service.settle()
        assert service.ask(picture(colour, mark=9)).json()["label"] == label


def test_the_answer_is_the_contracts(service: Service) -> None:
    response = service.teach("red", picture(), picture(mark=1))
    found = response.json()
    assert len(set(found["shot_ids"])) == 2
    assert found["label"] == "red"
    assert found["created"] == [True, True]
    assert found["shots_in_class"] == 2
    assert found["cache_version"] == service.version
    assert found["request_id"] == response.headers["x-request-id"]


def test_json_teaches_as_a_form_does(service: Service) -> None:
    body = {
        "label": "red",
        "images": [encoded(picture()), encoded(picture(mark=1))],
        "captions": ["a red square", None],
    }
    response = service.http.post("/cache/add", json=body)
    assert response.status_code == 201
    first, second = service.http.get("/cache/shots").json()["shots"]
    assert (first["caption"], second["caption"]) == ("a red square", None)
    assert first["sha256"] == hashlib.sha256(picture()).hexdigest()
    assert service.teach("red", picture()).status_code == 200


def test_captions_in_a_form(service: Service) -> None:
    files = [("image", picture()), ("image", picture(mark=1))]
    data = {"label": "red", "caption": ["", "ein rotes Bild"]}
    assert service.http.post("/cache/add", data=data, files=files).status_code == 201
    shots = service.http.get("/cache/shots").json()["shots"]
    assert [shot["caption"] for shot in shots] == [None, "ein rotes Bild"]


def test_the_same_bytes_again_give_the_same_shot(service: Service) -> None:
    first = service.teach("red", picture()).json()
    again = service.teach("red", picture())
    assert again.status_code == 200
    assert again.json()["shot_ids"] == first["shot_ids"]
    assert again.json()["created"] == [False]
    assert again.json()["cache_version"] == first["cache_version"]
    mixed = service.teach("red", picture(), picture(mark=1))
    assert mixed.status_code == 201
    assert mixed.json()["created"] == [False, True]
    assert mixed.json()["shots_in_class"] == 2


def test_the_same_image_twice_in_one_request_is_one_shot(service: Service) -> None:
    found = service.teach("red", picture(), picture()).json()
    assert found["shot_ids"][0] == found["shot_ids"][1]
    assert found["shots_in_class"] == 1


def test_another_label_is_a_conflict_and_nothing_is_taught(service: Service) -> None:
    (shot_id,) = service.teach("red", picture()).json()["shot_ids"]
    version = service.version
    response = service.teach("green", picture(GREEN), picture())
    detail = service.problem(response, 409, "label-conflict")
    assert "relabel=true" in detail
    assert response.json()["shot_id"] == shot_id
    assert response.json()["label"] == "red"
    state = service.http.get("/cache").json()
    assert (state["classes"], state["shots"]) == (1, 1)
    assert state["version"] == service.version == version


def test_relabel_moves_it(service: Service) -> None:
    (shot_id,) = service.teach("red", picture()).json()["shot_ids"]
    response = service.teach("green", picture(), relabel="true")
    assert response.status_code == 200
    assert response.json()["shot_ids"] == [shot_id]
    assert response.json()["shots_in_class"] == 1
    assert service.http.get(f"/cache/shots/{shot_id}").json()["label"] == "green"
    assert service.http.get("/classes/red").json()["shots"] == 0


def test_all_of_a_request_or_none(service: Service) -> None:
    version = service.version
    service.problem(service.teach("red", picture(), b"no image"), 415, "unsupported-image")
    service.problem(service.teach("red", picture(), b""), 400, "empty-image")
    state = service.http.get("/cache").json()
    assert (state["classes"], state["shots"], state["version"]) == (0, 0, version)


def test_an_idempotency_key_gives_the_same_answer_again(service: Service) -> None:
    def add(*images: bytes) -> Any:
        files = [("image", image) for image in images]
        headers = {"Idempotency-Key": "order-17"}
        return service.http.post("/cache/add", data={"label": "red"}, files=files, headers=headers)

    first = add(picture())
    assert first.status_code == 201
    assert service.http.delete(f"/cache/shots/{first.json()['shot_ids'][0]}").status_code == 200
    again = add(picture())
    assert (again.status_code, again.content) == (201, first.content)
    assert service.http.get("/cache").json()["shots"] == 0
    service.problem(add(picture(GREEN)), 422, "key-reused")


def test_a_key_under_way_is_told_so(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [("image", picture())]
    headers = {"Idempotency-Key": "order-18"}
    let_go = threading.Event()
    add = Cache.add

    def slowly(cache: Cache, *arguments: Any, **options: Any) -> Any:
        let_go.wait(10)
        return add(cache, *arguments, **options)

    monkeypatch.setattr(Cache, "add", slowly)

    def ask() -> httpx.Response:
        return service.http.post("/cache/add", data={"label": "red"}, files=files, headers=headers)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask)
        eventually(lambda: len(service.engine.claims) == 1)
        second = ask()
        service.problem(second, 409, "request-in-progress")
        assert second.headers["retry-after"] == "1"
        let_go.set()
        assert first.result().status_code == 201
    assert ask().content == first.result().content
    with ThreadPoolExecutor(8) as pool:
        again = [pool.submit(ask) for _ in range(24)]
        assert {each.result().content for each in again} == {first.result().content}


@pytest.mark.parametrize("relabel", [True, False])
def test_every_change_takes_an_idempotency_key(service: Service, relabel: bool) -> None:
    (shot_id,) = service.teach("red", picture()).json()["shot_ids"]
    headers = {"Idempotency-Key": f"once {relabel}"}

    def change() -> httpx.Response:
        path = f"/cache/shots/{shot_id}"
        if relabel:
            return service.http.patch(path, json={"label": "blue"}, headers=headers)
        return service.http.delete(path, headers=headers)

    first = change()
    assert first.status_code == 200
    service.teach("red", picture(), relabel="true")
    version = service.version
    assert change().content == first.content
    assert service.version == version
    other = service.http.put("/classes/green", headers=headers)
    service.problem(other, 422, "key-reused")


def test_a_full_disk_refuses_shots_and_goes_on_answering(service: Service) -> None:
    service.teach("red", picture())
    database = service.engine.cache._store._database

    def limit(pages: int) -> None:
        # On a thread of its own: SQLite's lock is the service's.
        database.maintain(f"PRAGMA max_page_count = {pages}")

    limit(1)
    version = service.version
    many = [picture((mark, 0, 0), mark=mark) for mark in range(1, 60)]
    detail = service.problem(service.teach("red", *many), 507, "disk-full")
    assert "nothing was changed" in detail
    assert service.ask(picture()).json()["label"] == "red"
    assert (service.version, service.http.get("/readyz").status_code) == (version, 200)
    limit(1_000_000)
    assert service.teach("red", *many).status_code == 201


def test_an_embedding_is_taught_without_an_image(service: Service) -> None:
    values = [1.0] + [0.0] * 31
    response = service.http.post("/cache/add", json={"label": "axis", "embeddings": [values]})
    assert response.status_code == 201
    (shot_id,) = response.json()["shot_ids"]
    assert service.http.post("/classify", json={"embedding": values}).json()["label"] == "axis"
    image = service.http.get(f"/cache/shots/{shot_id}/image")
    assert "taught as an embedding" in service.problem(image, 404, "no-thumbnail")
    again = service.http.post("/cache/add", json={"label": "axis", "embeddings": [values]})
    assert again.status_code == 200


def test_64_images_are_taken_and_65_are_not(service: Service) -> None:
    images = [picture(mark=mark) for mark in range(65)]
    service.problem(service.teach("red", *images), 422, "invalid")
    response = service.teach("red", *images[:64])
    assert response.status_code == 201
    assert response.json()["shots_in_class"] == 64


@pytest.mark.parametrize(
    "label",
    [
        "a",
        "x" * 256,
        "part 4711/b",
        'the "best"',
        "日本語",
        "🚚",
        "عربي",
        "a\u200fb",
        "ß",
        ".",
        "..",
    ],
)
def test_labels_are_any_text(service: Service, label: str) -> None:
    assert service.teach(label, picture()).json()["label"] == label
    assert service.ask(picture()).json()["label"] == label
    (listed,) = service.http.get("/classes").json()["classes"]
    assert listed["label"] == label
    page = service.http.get("/cache/shots", params={"label": label}).json()
    assert [shot["label"] for shot in page["shots"]] == [label]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("", "1 to 256 characters, got 0"),
        ("x" * 257, "1 to 256 characters, got 257"),
        ("x" * 10_000, "1 to 256 characters, got 10000"),
        ("a\nb", "control characters"),
        ("a\0b", "control characters"),
        ("  ", "can be seen"),
    ],
)
def test_other_labels_are_refused(service: Service, label: str, message: str) -> None:
    body = {"label": label, "images": [encoded(picture())]}
    version = service.version
    for response in (service.teach(label, picture()), service.http.post("/cache/add", json=body)):
        assert message in service.problem(response, 422, "invalid")
    assert service.version == version


def test_unknown_parameters_are_refused(service: Service) -> None:
    response = service.teach("red", picture(), relable="true")
    assert "did you mean relabel" in service.problem(response, 422, "invalid")
    response = service.teach("red", picture(), relabel="perhaps")
    assert "relabel: expected a valid boolean" in service.problem(response, 422, "invalid")


def test_the_cache_shows_its_state_and_catches_up_with_changes(service: Service) -> None:
    service.teach("red", picture(), picture(mark=1))
    service.teach("green", picture(GREEN), picture(GREEN, mark=1))
    service.settle()
    state = service.http.get("/cache").json()
    assert (state["classes"], state["shots"]) == (2, 4)
    assert state["version"] == state["fitted_version"] == service.version
    assert state["encoder"]["name"] == "pixel-encoder"
    assert state["encoder"]["width"] == 32
    assert state["encoder"]["notice"] is None
    assert state["adapter"]["method"] == "full"
    assert state["adapter"]["fit"]["shots"] == 4
    assert state["index"] == "faiss-flat"
    assert state["templates"] == ["a photo of a {}."]
    assert state["bytes"] > 0
