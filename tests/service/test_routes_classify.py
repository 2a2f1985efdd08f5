"""POST /classify and /classify/batch."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from adapter.encoder import PixelEncoder
from adapter.images import open_image, to_pixels
from tests.service.serving import BLUE, GREEN, RED, Service, picture


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def embedding(image: bytes) -> list[float]:
    encoder = PixelEncoder()
    pixels = to_pixels(open_image(image), encoder.preprocessing)
    values: list[float] = encoder.encode_images(pixels[None])[0].tolist()
    return values


def answer(taught: Service, **kwargs: Any) -> dict[str, Any]:
    response = taught.http.post("/classify", **kwargs)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    assert found.pop("request_id") == response.headers["x-request-id"]
    return found


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_every_way_to_send_an_image_gives_the_same_answer(taught: Service, form: str) -> None:
    image = picture(RED, form=form)
    raw = answer(taught, content=image, headers={"Content-Type": f"image/{form.lower()}"})
    assert raw["label"] == "red"
    assert answer(taught, files={"image": ("photo", image)}) == raw
    assert answer(taught, json={"image": encoded(image)}) == raw


def test_an_embedding_gives_the_answer_of_its_image(taught: Service) -> None:
    image = picture(GREEN, mark=9)
    raw = answer(taught, content=image, headers={"Content-Type": "image/png"})
    values = [3.0 * value for value in embedding(image)]  # any length will do
    from_numbers = answer(taught, json={"embedding": values})
    assert from_numbers["label"] == raw["label"] == "green"
    assert from_numbers["confidence"] == pytest.approx(raw["confidence"], abs=1e-5)


def test_the_answer_is_the_contracts(taught: Service) -> None:
    found = taught.ask(picture(RED)).json()
    assert found["label"] == found["predictions"][0]["label"] == "red"
    assert found["confidence"] == found["predictions"][0]["probability"]
    assert found["unknown"] is False
    assert found["cache_version"] == taught.version
    assert found["model"] == "pixel-encoder"
    assert sum(each["probability"] for each in found["predictions"]) == pytest.approx(1)
    logits = [each["logit"] for each in found["predictions"]]
    assert logits == sorted(logits, reverse=True)


def test_the_terms_of_a_class_add_up_to_its_logit(taught: Service) -> None:
    for each in taught.ask(picture(BLUE)).json()["predictions"]:
        assert {"zero_shot", "image_cache", "text_cache"} <= each["terms"].keys()
        assert sum(each["terms"].values()) == pytest.approx(each["logit"], abs=1e-4)


def test_the_shares_of_a_classs_shots_add_up_to_its_cache_terms(taught: Service) -> None:
    found = taught.ask(picture(RED), explain=1000).json()
    assert len(found["neighbors"]) == 4
    for each in found["predictions"]:
        shares = [n["contribution"] for n in found["neighbors"] if n["label"] == each["label"]]
        expected = each["terms"]["image_cache"] + each["terms"]["text_cache"]
        assert len(shares) == 2
        assert sum(shares) == pytest.approx(expected, abs=1e-5)


def test_neighbors_are_shots_that_can_be_looked_up(taught: Service) -> None:
    for neighbor in taught.ask(picture(RED)).json()["neighbors"]:
        shot = taught.http.get(f"/cache/shots/{neighbor['shot_id']}").json()
        assert shot["label"] == neighbor["label"]
        assert 0 <= neighbor["image_affinity"] <= 1.0001


@pytest.mark.parametrize(("top_k", "expected"), [(1, 1), (2, 2), (1000, 2)])
def test_top_k_is_how_many_classes_are_shown(taught: Service, top_k: int, expected: int) -> None:
    assert len(taught.ask(picture(), top_k=top_k).json()["predictions"]) == expected


@pytest.mark.parametrize(("explain", "expected"), [(0, 0), (3, 3), (1000, 4)])
def test_explain_is_how_many_shots_are_shown(taught: Service, explain: int, expected: int) -> None:
    assert len(taught.ask(picture(), explain=explain).json()["neighbors"]) == expected


def test_below_min_confidence_it_is_unknown(taught: Service) -> None:
    sure = taught.ask(picture(RED)).json()
    found = taught.ask(picture(RED), min_confidence=1.0).json()
    assert sure["confidence"] < 1
    assert (found["label"], found["unknown"]) == (None, True)
    assert found["predictions"][0]["label"] == "red"
    assert taught.ask(picture(RED), min_confidence=sure["confidence"]).json()["label"] == "red"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"top_k": 0}, "top_k: expected greater than or equal to 1, got '0'"),
        ({"top_k": 1001}, "top_k: expected less than or equal to 1000, got '1001'"),
        ({"top_k": "many"}, "top_k: expected a valid integer"),
        ({"explain": -1}, "explain: expected greater than or equal to 0, got '-1'"),
        ({"explain": 1001}, "explain: expected less than or equal to 1000, got '1001'"),
        ({"min_confidence": 1.01}, "min_confidence: expected less than or equal to 1"),
        ({"min_confidence": "nan"}, "min_confidence: expected"),
        ({"topk": 3}, "topk: unknown, did you mean top_k?"),
        ({"colour": "red"}, "unknown, expected one of top_k, explain, min_confidence"),
        ({"top_k": [1, 2]}, "top_k: expected it once, got 2"),
    ],
)
@pytest.mark.parametrize("path", ["/classify", "/classify/batch"])
def test_parameters_are_strict(
    taught: Service, path: str, params: dict[str, Any], message: str
) -> None:
    response = taught.http.post(path, files={"image": picture()}, params=params)
    assert message in taught.problem(response, 422, "invalid")


def test_a_batch_is_answered_in_its_order_with_an_error_for_each_bad_image(
    taught: Service,
) -> None:
    images = [picture(RED), b"no image", picture(GREEN), b"", picture(RED)[:60]]
    response = taught.http.post("/classify/batch", files=[("image", image) for image in images])
    assert response.status_code == 200
    found = response.json()
    results = found["results"]
    assert [each.get("label") for each in results] == ["red", None, "green", None, None]
    statuses = [each["error"]["status"] if "error" in each else 200 for each in results]
    assert statuses == [200, 415, 200, 400, 422]
    assert results[1]["error"]["request_id"] == response.headers["x-request-id"]
    assert found["cache_version"] == taught.version
    assert found["request_id"] == response.headers["x-request-id"]


def test_a_batch_answers_as_single_calls_do(taught: Service) -> None:
    images = [picture(colour, mark=mark) for colour in (RED, GREEN, BLUE) for mark in range(4)]
    params = {"top_k": 2, "explain": 1}
    response = taught.http.post(
        "/classify/batch", json={"images": [encoded(image) for image in images]}, params=params
    )
    for image, verdict in zip(images, response.json()["results"], strict=True):
        alone = taught.ask(image, **params).json()
        assert verdict["label"] == alone["label"]
        assert verdict["confidence"] == pytest.approx(alone["confidence"], abs=1e-5)
        assert len(verdict["neighbors"]) == 1


def test_a_batch_of_embeddings(taught: Service) -> None:
    rows = [embedding(picture(RED)), embedding(picture(GREEN)), [0.0] * 32, [1.0]]
    results = taught.http.post("/classify/batch", json={"embeddings": rows}).json()["results"]
    assert [each.get("label") for each in results] == ["red", "green", None, None]
    assert [each["error"]["status"] for each in results[2:]] == [422, 422]


def test_a_batch_without_a_sound_image_is_still_answered(taught: Service) -> None:
    for images in (["", "!"], ["!"]):
        response = taught.http.post("/classify/batch", json={"images": images})
        assert response.status_code == 200
        answer = response.json()
        assert [each["error"]["status"] for each in answer["results"]] == [400] * len(images)
        assert answer["cache_version"] == taught.version


def test_no_classes_yet_says_how_to_teach(service: Service) -> None:
    assert "POST /cache/add" in service.problem(service.ask(picture()), 409, "no-classes")
    batch = service.http.post("/classify/batch", files={"image": picture()})
    service.problem(batch, 409, "no-classes")


def test_a_class_with_only_a_name_is_answered_zero_shot(service: Service) -> None:
    assert service.http.put("/classes/red").status_code == 201
    assert service.http.put("/classes/green").status_code == 201
    service.settle()
    found = service.ask(picture()).json()
    encoder = PixelEncoder()
    pixels = to_pixels(open_image(picture()), encoder.preprocessing)
    texts = encoder.encode_texts(["a photo of a red.", "a photo of a green."])
    cosines = encoder.encode_images(pixels[None]) @ texts.T
    expected = dict(zip(("red", "green"), cosines[0].tolist(), strict=True))
    assert found["label"] == max(expected, key=lambda label: expected[label])
    assert found["neighbors"] == []
    first, second = found["predictions"]
    for each in (first, second):
        assert each["terms"]["image_cache"] == each["terms"]["text_cache"] == 0
    # Only differences between classes matter, and only they are comparable.
    apart = encoder.logit_scale * (expected[first["label"]] - expected[second["label"]])
    assert first["terms"]["zero_shot"] - second["terms"]["zero_shot"] == pytest.approx(
        apart, abs=1e-4
    )
    assert first["logit"] - second["logit"] == pytest.approx(apart, abs=1e-4)
