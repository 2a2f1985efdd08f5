"""The cache's versions over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service.serving import GREEN, RED, Service, picture


def test_versions_come_newest_first_in_pages(service: Service) -> None:
    last = service.version
    assert service.teach("red", picture()).status_code == 201
    assert service.teach("green", picture(GREEN)).status_code == 201
    page = service.http.get("/cache/versions", params={"limit": 1}).json()
    (newest,) = page["versions"]
    assert newest.pop("created").startswith("20")
    assert newest == {
        "version": last + 2,
        "action": "add",
        "subject": "green",
        "caller": None,
        "classes": 2,
        "shots": 2,
    }
    service.teach("blue", picture((0, 0, 255)))
    more = {"limit": 1000, "cursor": page["next_cursor"]}
    rest = service.http.get("/cache/versions", params=more).json()
    assert [each["version"] for each in rest["versions"]] == list(range(last + 1, -1, -1))
    assert rest["next_cursor"] is None


def test_a_diff_in_either_order(service: Service) -> None:
    before = service.version
    (shot_id,) = service.teach("red", picture()).json()["shot_ids"]
    service.teach("green", picture(GREEN))
    service.http.patch(f"/cache/shots/{shot_id}", json={"label": "green"})
    after = service.version
    params = {"from": before + 1, "to": after}
    found = service.http.get("/cache/diff", params=params).json()
    assert found["counts"] == {"class_added": 1, "shot_added": 1, "shot_relabelled": 1}
    assert (found["from_version"], found["to_version"]) == (before + 1, after)
    moved = {
        "what": "shot_relabelled",
        "label": "green",
        "shot_id": shot_id,
        "previous_label": "red",
    }
    assert moved in found["differences"]
    params = {"from": after, "to": before + 1}
    back = service.http.get("/cache/diff", params=params).json()
    assert back["counts"] == {"class_removed": 1, "shot_relabelled": 1, "shot_removed": 1}


def test_the_pages_of_a_diff_stay_right_while_the_cache_changes(service: Service) -> None:
    before = service.version
    ids = service.teach("red", *[picture(mark=mark) for mark in range(5)]).json()["shot_ids"]
    params: dict[str, Any] = {"from": before, "to": service.version, "limit": 2}
    seen: list[str] = []
    while True:
        page = service.http.get("/cache/diff", params=params).json()
        assert page["counts"] == {"class_added": 1, "shot_added": 5}
        seen += [each["shot_id"] for each in page["differences"] if each["shot_id"]]
        service.http.delete(f"/cache/shots/{ids[len(seen) - 1]}")
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == ids


def test_going_back_is_a_further_version_and_counts_at_once(service: Service) -> None:
    service.teach("red", picture(RED), picture(RED, mark=1))
    service.teach("green", picture(GREEN))
    wanted = service.version
    service.http.put("/classes/red", json={"prompts": ["a red thing"]})
    service.delete_class("green")
    assert [each["label"] for each in service.ask(picture()).json()["predictions"]] == ["red"]
    response = service.http.post("/cache/rollback", json={"version": wanted})
    assert response.status_code == 200
    assert response.json() == {
        "restored_version": wanted,
        "classes": 2,
        "shots": 3,
        "cache_version": wanted + 3,
    }
    answer = service.ask(picture(GREEN), explain=1000).json()
    assert answer["cache_version"] == wanted + 3
    assert {each["label"] for each in answer["neighbors"]} == {"red", "green"}
    assert len(answer["neighbors"]) == 3
    params = {"from": wanted, "to": wanted + 3}
    assert service.http.get("/cache/diff", params=params).json()["differences"] == []
    again = service.http.post("/cache/rollback", json={"version": wanted + 2}).json()
    assert (again["classes"], again["shots"]) == (1, 2)


def test_going_back_where_one_is_changes_nothing(service: Service) -> None:
    service.teach("red", picture())
    version = service.version
    response = service.http.post("/cache/rollback", json={"version": version})
    assert response.json()["cache_version"] == version


def test_the_same_rollback_twice_under_one_key_is_made_once(service: Service) -> None:
    service.teach("red", picture())
    wanted = service.version
    service.delete_class("red")
    headers = {"Idempotency-Key": f"back-{wanted}"}
    body = {"version": wanted}
    first = service.http.post("/cache/rollback", json=body, headers=headers)
    service.delete_class("red")
    again = service.http.post("/cache/rollback", json=body, headers=headers)
    assert (again.status_code, again.content) == (200, first.content)
    assert service.http.get("/classes").json()["classes"] == []
    other = service.http.post("/cache/rollback", json={"version": 0}, headers=headers)
    service.problem(other, 422, "key-reused")


def test_a_version_that_there_is_not(taught: Service) -> None:
    newest = taught.version
    asked = {"from": 0, "to": newest + 1}
    for response in (
        taught.http.get("/cache/diff", params=asked),
        taught.http.post("/cache/rollback", json={"version": newest + 1}),
    ):
        detail = taught.problem(response, 404, "unknown-version")
        assert detail == f"expected a version from 0 to {newest}, got {newest + 1}"
        assert response.json()["oldest"] == 0
        assert response.json()["newest"] == newest


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "from: it is required"),
        ({"from": 0}, "to: it is required"),
        ({"from": -1, "to": 0}, "from: expected greater than or equal to 0"),
        ({"from": 2**64, "to": 0}, "from: expected less than or equal to"),
        ({"from": "one", "to": 0}, "from: expected a valid integer"),
        ({"from": 0, "to": 1, "cursor": "-1"}, "cursor"),
        ({"from": 0, "to": 1, "form": 1}, "form: unknown, did you mean from?"),
        ({"from_version": 0, "to": 1}, "from_version: unknown"),
    ],
)
def test_a_diff_that_cannot_be(taught: Service, params: dict[str, Any], message: str) -> None:
    response = taught.http.get("/cache/diff", params=params)
    assert message in taught.problem(response, 422, "invalid")


@pytest.mark.parametrize("body", [{}, {"version": -1}, {"version": "1"}, {"version": 2**64}])
def test_a_rollback_that_cannot_be(taught: Service, body: dict[str, Any]) -> None:
    version = taught.version
    taught.problem(taught.http.post("/cache/rollback", json=body), 422, "invalid")
    assert taught.version == version
