"""The labelled examples over HTTP."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
from PIL import Image

from tests.service.serving import BLUE, GREEN, RED, Service, picture

UNKNOWN = "0" * 32


def teach(service: Service, label: str, *images: bytes) -> list[str]:
    ids: list[str] = service.teach(label, *images).json()["shot_ids"]
    return ids


def test_a_list_is_paged_in_the_order_of_teaching(service: Service) -> None:
    ids = teach(service, "red", *[picture(mark=mark) for mark in range(5)])
    ids += teach(service, "green", *[picture(GREEN, mark=mark) for mark in range(3)])
    seen: list[str] = []
    cursor: str | None = None
    pages = 0
    while pages == 0 or cursor is not None:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = service.http.get("/cache/shots", params=params).json()
        assert len(page["shots"]) <= 3
        seen += [shot["shot_id"] for shot in page["shots"]]
        cursor = page["next_cursor"]
        pages += 1
    assert seen == ids
    assert pages == 3


def test_a_list_of_one_class(service: Service) -> None:
    teach(service, "red", picture())
    ids = teach(service, "a/b ?", picture(GREEN), picture(BLUE))
    page = service.http.get("/cache/shots", params={"label": "a/b ?"}).json()
    assert [shot["shot_id"] for shot in page["shots"]] == ids
    assert page["next_cursor"] is None


@pytest.mark.parametrize(
    ("params", "status", "kind", "message"),
    [
        ({"label": "gren"}, 404, "unknown-class", "did you mean 'green'"),
        ({"limit": 0}, 422, "invalid", "limit: expected greater than or equal to 1"),
        ({"limit": 1001}, 422, "invalid", "limit: expected less than or equal to 1000"),
        ({"cursor": "zzz"}, 422, "invalid", "cursor"),
        ({"cursor": "9" * 100}, 422, "invalid", "cursor"),
        ({"cursor": ""}, 422, "invalid", "cursor"),
        ({"page": 2}, 422, "invalid", "page: unknown"),
    ],
)
def test_lists_that_cannot_be(
    taught: Service, params: dict[str, Any], status: int, kind: str, message: str
) -> None:
    response = taught.http.get("/cache/shots", params=params)
    assert message in taught.problem(response, status, kind)


def test_an_unknown_class_comes_with_suggestions(taught: Service) -> None:
    response = taught.http.get("/cache/shots", params={"label": "gren"})
    assert response.json()["suggestions"] == ["green"]


def test_a_shot_is_read(service: Service) -> None:
    image = picture()
    (shot_id,) = teach(service, "red", image)
    shot = service.http.get(f"/cache/shots/{shot_id}").json()
    assert shot.pop("created").startswith("20")
    assert shot == {
        "shot_id": shot_id,
        "label": "red",
        "caption": None,
        "sha256": hashlib.sha256(image).hexdigest(),
        "merged_into": None,
    }


def test_a_shot_is_seen(service: Service) -> None:
    (shot_id,) = teach(service, "red", picture(RED, (600, 300)))
    response = service.http.get(f"/cache/shots/{shot_id}/image")
    assert response.headers["content-type"] == "image/webp"
    image = Image.open(io.BytesIO(response.content))
    assert image.format == "WEBP"
    assert image.size == (256, 128)


def test_a_shot_is_relabelled(service: Service) -> None:
    (shot_id,) = teach(service, "red", picture())
    teach(service, "green", picture(GREEN))
    version = service.version
    response = service.http.patch(f"/cache/shots/{shot_id}", json={"label": "crimson"})
    assert response.status_code == 200
    assert response.json()["label"] == "crimson"
    assert response.json()["cache_version"] == version + 1
    assert service.ask(picture()).json()["neighbors"][0]["label"] == "crimson"
    assert service.http.get("/classes/red").json()["shots"] == 0


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b'{"label": "a\\nb"}', 422, "control characters"),
        (b'{"label": ""}', 422, "1 to 256"),
        (b'{"label": null}', 422, "label: expected a valid string"),
        (b"{}", 422, "label: it is required"),
        (b'{"label": "a", "caption": "b"}', 422, "caption: unknown"),
        (b'{"label"', 400, "expected JSON"),
        (b"", 400, "expected JSON"),
    ],
)
def test_relabelling_that_cannot_be(
    taught: Service, body: bytes, status: int, message: str
) -> None:
    (shot, *_) = taught.http.get("/cache/shots").json()["shots"]
    response = taught.http.patch(
        f"/cache/shots/{shot['shot_id']}",
        content=body,
        headers={"Content-Type": "application/json"},
    )
    kind = "invalid" if status == 422 else "malformed"
    assert message in taught.problem(response, status, kind)


def test_a_shot_is_forgotten(service: Service) -> None:
    first, second = teach(service, "red", picture(), picture(mark=1))
    response = service.http.delete(f"/cache/shots/{first}")
    assert response.status_code == 200
    assert response.json() == {"shot_id": first, "cache_version": service.version}
    found = service.ask(picture(), explain=1000).json()
    assert [neighbor["shot_id"] for neighbor in found["neighbors"]] == [second]
    service.problem(service.http.delete(f"/cache/shots/{first}"), 404, "unknown-shot")
    assert teach(service, "red", picture()) != [first]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
@pytest.mark.parametrize("shot_id", [UNKNOWN, "x", "%00", "a%2Fb", "💥", "x" * 5000])
def test_an_unknown_shot(taught: Service, method: str, shot_id: str) -> None:
    body = {"label": "red"} if method == "PATCH" else None
    response = taught.http.request(method, f"/cache/shots/{shot_id}", json=body)
    assert response.status_code == 404
    # A slash makes it another address.
    kind = "not-found" if shot_id == "a%2Fb" else "unknown-shot"
    taught.problem(response, 404, kind)


def test_an_unknown_shot_has_no_image(taught: Service) -> None:
    taught.problem(taught.http.get(f"/cache/shots/{UNKNOWN}/image"), 404, "unknown-shot")
