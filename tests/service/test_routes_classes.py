"""The classes over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service.serving import GREEN, Service, picture, segment

LABELS = [
    "red",
    "a/b",
    "/",
    "//a//",
    "50 % & more?",
    "#1",
    "日本語",
    "🚚",
    "عربي",
    "..",
    "a+b",
    'a"b',
]


@pytest.mark.parametrize("label", LABELS)
def test_a_label_in_a_path_is_percent_encoded(service: Service, label: str) -> None:
    path = f"/classes/{segment(label)}"
    made = service.http.put(path)
    assert made.status_code == 201
    assert made.json()["label"] == label
    assert service.http.get(path).json()["label"] == label
    assert service.http.put(path).status_code == 200
    assert service.http.delete(path).json()["label"] == label
    service.problem(service.http.get(path), 404, "unknown-class")


def test_a_slash_may_stand_as_it_is(service: Service) -> None:
    assert service.http.put("/classes/a/b").json()["label"] == "a/b"


@pytest.mark.parametrize(
    ("label", "message"),
    [("a\nb", "control"), ("\n", "can be seen"), ("x" * 257, "got 257"), (" ", "can be seen")],
)
def test_what_is_no_label_makes_no_class(service: Service, label: str, message: str) -> None:
    response = service.http.put(f"/classes/{segment(label)}")
    assert message in service.problem(response, 422, "invalid")
    service.problem(service.http.get(f"/classes/{segment(label)}"), 404, "unknown-class")


def test_a_list_is_paged(service: Service) -> None:
    for number in range(5):
        service.http.put(f"/classes/class {number}")
    first = service.http.get("/classes", params={"limit": 3}).json()
    params = {"limit": 3, "cursor": first["next_cursor"]}
    second = service.http.get("/classes", params=params).json()
    labels = [each["label"] for each in first["classes"] + second["classes"]]
    assert labels == [f"class {number}" for number in range(5)]
    assert second["next_cursor"] is None


def test_prompts_change_the_answer_and_null_takes_them_back(service: Service) -> None:
    service.http.put("/classes/red")
    service.http.put("/classes/green")

    def zero_shot() -> float:
        found = service.ask(picture(), top_k=2).json()["predictions"]
        value: float = next(each["terms"]["zero_shot"] for each in found if each["label"] == "red")
        return value

    plain = zero_shot()
    prompts = ["the colour of {}", "something warm"]
    changed = service.http.put("/classes/red", json={"prompts": prompts})
    assert changed.status_code == 200
    assert changed.json()["prompts"] == prompts
    assert service.http.get("/classes/red").json()["prompts"] == prompts
    assert zero_shot() != pytest.approx(plain, abs=1e-3)
    assert service.http.put("/classes/red", json={"prompts": None}).json()["prompts"] is None
    assert zero_shot() == pytest.approx(plain, abs=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"prompts": []}, 422, "prompts"),
        ({"prompts": [""]}, 422, "prompts.0"),
        ({"prompts": [5]}, 422, "prompts.0: expected a valid string"),
        ({"prompts": ["a"] * 101}, 422, "prompts"),
        ({"prompts": ["x" * 1001]}, 422, "prompts.0"),
        ({"prompts": ["a\nb"]}, 422, "control characters"),
        ({"prompts": "a"}, 422, "prompts"),
        ({"prompt": ["a"]}, 422, "did you mean prompts?"),
    ],
)
def test_prompts_that_cannot_be(
    service: Service, body: dict[str, Any], status: int, message: str
) -> None:
    response = service.http.put("/classes/red", json=body)
    assert message in service.problem(response, status, "invalid")
    service.problem(service.http.get("/classes/red"), 404, "unknown-class")


def test_a_class_is_deleted_with_its_shots(service: Service) -> None:
    service.teach("red", picture(), picture(mark=1))
    service.teach("green", picture(GREEN))
    response = service.http.delete("/classes/red")
    assert response.json() == {
        "label": "red",
        "shots_deleted": 2,
        "cache_version": service.version,
    }
    found = service.ask(picture(), explain=10).json()
    assert [each["label"] for each in found["predictions"]] == ["green"]
    assert [each["label"] for each in found["neighbors"]] == ["green"]
    service.problem(service.http.delete("/classes/red"), 404, "unknown-class")


def test_unknown_parameters_are_refused(taught: Service) -> None:
    response = taught.http.get("/classes/red", params={"verbose": 1})
    assert "verbose: unknown, none is taken" in taught.problem(response, 422, "invalid")


def test_no_label_at_all_is_no_address(taught: Service) -> None:
    taught.problem(taught.http.get("/classes/"), 404, "not-found")
