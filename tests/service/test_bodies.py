"""Images, labels and captions, however a request carries them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from service.bodies import Lesson, read_image, read_images, read_lesson
from service.errors import Problem
from service.inputs import MAX_ADD_IMAGES, MAX_BATCH_IMAGES, MAX_CAPTION
from tests.service.requests import read
from tests.service.test_forms import form

FORM = {"Content-Type": "multipart/form-data; boundary=xyz"}
JSON = {"Content-Type": "application/json"}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def as_json(**fields: Any) -> list[bytes]:
    return [json.dumps(fields).encode()]


def lesson(*parts: tuple[str, bytes]) -> Lesson:
    return read(read_lesson, [form(*parts)], FORM)


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/webp"])
def test_a_raw_image(kind: str) -> None:
    assert read(read_image, [b"ab", b"cd"], {"Content-Type": kind}) == b"abcd"


def test_an_image_in_a_form() -> None:
    assert read(read_image, [form(("image", b"abcd"))], FORM) == b"abcd"


def test_an_image_in_json() -> None:
    assert read(read_image, as_json(image=encoded(b"abcd")), JSON) == b"abcd"


def test_an_embedding() -> None:
    assert read(read_image, as_json(embedding=[1, 2.5]), JSON) == [1.0, 2.5]


def test_nothing_at_all_is_left_for_the_decoder_to_refuse() -> None:
    assert read(read_image, [], {"Content-Type": "image/png"}) == b""


@pytest.mark.parametrize(
    ("fields", "message"),
    [({}, "got neither"), ({"image": "", "embedding": [1]}, "got both")],
)
def test_either_an_image_or_an_embedding(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(Problem, match=message):
        read(read_image, as_json(**fields), JSON)


def test_a_raw_image_over_the_limit() -> None:
    with pytest.raises(Problem) as refused:
        read(read_image, [b"x" * 1001], {"Content-Type": "image/png"})
    assert refused.value.kind == "image-too-large"


def test_a_form_image_over_the_limit() -> None:
    given = read(read_image, [form(("image", b"x" * 1001))], FORM)
    assert isinstance(given, Problem)
    assert given.kind == "image-too-large"
    assert "at most 1000 bytes, got 1001" in given.detail


def test_a_form_without_an_image() -> None:
    with pytest.raises(Problem, match="image: it is required"):
        read(read_image, [form()], FORM)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("not base64!", "base64 -w0"),
        ("abc", "padding"),
        ("YWJj\nYWJj", "one line"),
        ("data:image/png;base64,YWJj", "before the comma"),
        ("é", "ASCII"),
    ],
)
def test_base64_that_is_none(text: str, hint: str) -> None:
    given = read(read_image, as_json(image=text), JSON)
    assert isinstance(given, Problem)
    assert given.status == 400
    assert hint in given.detail


def test_several_images_keep_their_order_and_their_errors() -> None:
    parts = [("image", b"a"), ("image", b"x" * 1001), ("image", b"c")]
    first, second, third = read(read_images, [form(*parts)], FORM)
    assert (first, third) == (b"a", b"c")
    assert isinstance(second, Problem)
    texts = [encoded(b"a"), "!", encoded(b"c")]
    first, second, third = read(read_images, as_json(images=texts), JSON)
    assert (first, third) == (b"a", b"c")
    assert isinstance(second, Problem)


@pytest.mark.parametrize("count", [0, MAX_BATCH_IMAGES + 1])
def test_a_batch_holds_1_to_128_images(count: int) -> None:
    message = f"expected 1 to {MAX_BATCH_IMAGES} images, got {count}"
    with pytest.raises(Problem, match=message):
        read(read_images, as_json(images=[""] * count), JSON)
    with pytest.raises(Problem, match=f"1 to {MAX_BATCH_IMAGES}|at most {MAX_BATCH_IMAGES}"):
        read(read_images, [form(*[("image", b"")] * count)], FORM, max_request=10**6)


def test_a_raw_image_is_no_batch() -> None:
    with pytest.raises(Problem) as refused:
        read(read_images, [b"x"], {"Content-Type": "image/png"})
    assert refused.value.status == 415


def test_a_lesson_in_a_form() -> None:
    got = lesson(("label", b"truck"), ("image", b"a"), ("image", b"b"))
    assert got == Lesson("truck", [b"a", b"b"], [None, None])


def test_captions_in_a_form_and_an_empty_one_is_none() -> None:
    parts = [("image", b"a"), ("caption", b"red"), ("image", b"b"), ("caption", b" ")]
    assert lesson(("label", b"truck"), *parts).captions == ["red", None]


def test_a_lesson_in_json() -> None:
    body = as_json(label="truck", images=[encoded(b"a"), encoded(b"b")], captions=["red", None])
    assert read(read_lesson, body, JSON) == Lesson("truck", [b"a", b"b"], ["red", None])
    body = as_json(label="truck", embeddings=[[1, 2]])
    assert read(read_lesson, body, JSON) == Lesson("truck", [[1.0, 2.0]], [None])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([("image", b"a")], "label: it is required"),
        ([("label", b"t")], f"1 to {MAX_ADD_IMAGES} images, got 0"),
        ([("label", b"t"), ("image", b"a"), ("caption", b"a"), ("caption", b"b")], "got 2"),
        ([("label", b"t"), *[("image", b"a")] * (MAX_ADD_IMAGES + 1)], "at most 64"),
        ([("label", b"t"), ("image", b"a"), ("caption", b"x" * (MAX_CAPTION + 1))], "1000 char"),
    ],
)
def test_lessons_that_are_wrong(parts: list[tuple[str, bytes]], message: str) -> None:
    with pytest.raises(Problem, match=message) as refused:
        read(read_lesson, [form(*parts)], FORM, max_request=10**6)
    assert refused.value.status == 422
