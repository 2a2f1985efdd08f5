"""A most of shots a class, over HTTP: what is beyond it is merged, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service.serving import BLUE, RED, picture, serving

DARK_RED = (120, 10, 10)


def test_a_shot_of_a_full_class_is_averaged_into_the_nearest(tmp_path: Path) -> None:
    with serving(tmp_path, max_shots_per_class=2) as service:
        first = service.teach("red", picture(RED), picture(DARK_RED)).json()
        assert first["merged"] == [False, False]
        service.teach("blue", picture(BLUE))
        beyond = service.teach("red", picture(RED, mark=1), picture(RED, mark=2))
        assert beyond.status_code == 201
        assert (beyond.json()["created"], beyond.json()["merged"]) == ([True] * 2, [True] * 2)
        assert beyond.json()["shots_in_class"] == 4
        shots = service.http.get("/cache/shots", params={"label": "red"}).json()["shots"]
        bright, dark = first["shot_ids"]
        assert [each["merged_into"] for each in shots] == [None, None, bright, bright]
        answer = service.ask(picture(RED), explain=1000).json()
        assert answer["label"] == "red"
        red = [each for each in answer["neighbors"] if each["label"] == "red"]
        assert {each["shot_id"] for each in red} == {bright, dark}
        (prediction,) = [each for each in answer["predictions"] if each["label"] == "red"]
        terms = prediction["terms"]["image_cache"] + prediction["terms"]["text_cache"]
        assert sum(each["contribution"] for each in red) == pytest.approx(terms, abs=1e-4)
        again = service.teach("red", picture(RED, mark=1))
        assert (again.status_code, again.json()["created"]) == (200, [False])
        service.http.delete(f"/cache/shots/{bright}")
        left = service.http.get("/cache/shots", params={"label": "red"}).json()["shots"]
        heir = beyond.json()["shot_ids"][0]
        assert [each["merged_into"] for each in left] == [None, None, heir]
        answer = service.ask(picture(RED), explain=1000).json()
        assert heir in {each["shot_id"] for each in answer["neighbors"]}


def test_a_shot_of_a_full_class_is_refused_where_so_chosen(tmp_path: Path) -> None:
    with serving(tmp_path, max_shots_per_class=2, full_class="refuse") as service:
        (first,) = service.teach("red", picture(RED)).json()["shot_ids"]
        refused = service.teach("red", picture(RED, mark=1), picture(RED, mark=2))
        assert "'red' has 2 shots" in service.problem(refused, 409, "class-full")
        assert service.http.get("/classes/red").json()["shots"] == 1
        assert service.teach("red", picture(RED, mark=1)).status_code == 201
        (other,) = service.teach("blue", picture(BLUE)).json()["shot_ids"]
        moved = service.http.patch(f"/cache/shots/{other}", json={"label": "red"})
        service.problem(moved, 409, "class-full")
        assert service.http.get(f"/cache/shots/{other}").json()["label"] == "blue"
        service.http.delete(f"/cache/shots/{first}")
        moved = service.http.patch(f"/cache/shots/{other}", json={"label": "red"})
        assert moved.status_code == 200
