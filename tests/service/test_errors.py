"""From what went wrong to a problem document."""

from __future__ import annotations

import pytest

from adapter import images
from indexer import errors as cache_errors
from service.errors import KINDS, Problem, as_problem, busy, shown, validation_problem


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (images.EmptyImage("no bytes"), 400, "empty-image"),
        (images.UnsupportedImage("a GIF"), 415, "unsupported-image"),
        (images.ImageTooLarge("huge"), 413, "image-too-large"),
        (images.UndecodableImage("cut"), 422, "undecodable-image"),
        (cache_errors.UnknownShot("x"), 404, "unknown-shot"),
        (cache_errors.UnknownClass("trukc", ["truck"]), 404, "unknown-class"),
        (cache_errors.LabelConflict("id", "car", "truck"), 409, "label-conflict"),
        (cache_errors.IdempotencyConflict("again"), 422, "key-reused"),
        (cache_errors.EmptyCache("none"), 409, "no-classes"),
        (cache_errors.LabelError("blank"), 422, "invalid"),
        (cache_errors.PromptError("none"), 422, "invalid"),
        (cache_errors.FeatureError("wide"), 422, "invalid"),
        (cache_errors.CursorError("odd"), 422, "invalid"),
        (cache_errors.CacheBusy("locked"), 503, "unwritable"),
        (cache_errors.CacheDamaged("torn"), 503, "damaged"),
        (cache_errors.CacheFull("full"), 507, "disk-full"),
        (cache_errors.ClassFull("truck", 16), 409, "class-full"),
        (cache_errors.UnknownVersion(9, 0, 4), 404, "unknown-version"),
        (cache_errors.CacheUnwritable("disk full"), 503, "unwritable"),
    ],
)
def test_what_the_floors_below_raise_has_an_answer(
    error: Exception, status: int, kind: str
) -> None:
    problem = as_problem(error)
    assert problem is not None
    assert (problem.status, problem.kind) == (status, kind)
    assert problem.detail


@pytest.mark.parametrize("error", [ValueError(), KeyError()])
def test_the_services_own_failures_have_none(error: Exception) -> None:
    assert as_problem(error) is None


def test_every_image_error_has_an_answer() -> None:
    for kind in images.ImageError.__subclasses__():
        assert as_problem(kind("x")) is not None


def test_a_conflict_says_which_shot_and_how_to_go_on() -> None:
    problem = as_problem(cache_errors.LabelConflict("shot1", "car", "truck"))
    assert problem is not None
    assert problem.extra == {"shot_id": "shot1", "label": "car"}
    assert "?relabel=true" in problem.detail


def test_an_empty_cache_says_how_to_teach() -> None:
    problem = as_problem(cache_errors.EmptyCache())
    assert problem is not None
    assert "POST /cache/add" in problem.detail


def test_a_document_has_what_the_rfc_asks_for() -> None:
    document = Problem("invalid", "no", extra={"more": 1}).document("abc")
    assert document == {
        "type": "urn:xmadapter:problem:invalid",
        "title": KINDS["invalid"].title,
        "status": 422,
        "detail": "no",
        "request_id": "abc",
        "more": 1,
    }


def test_a_response_has_its_own_media_type_and_headers() -> None:
    response = busy("overloaded", "full", 3).response("abc")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "3"


def test_several_errors_are_one_problem() -> None:
    found: list[dict[str, object]] = [
        {"loc": ("a",), "msg": "Input should be less than 5", "type": "less_than", "input": "9"},
        {"loc": ("b", 1), "msg": "Field required", "type": "missing", "input": {}},
    ]
    problem = validation_problem(found, "field")
    assert problem.detail == "field a: expected less than 5, got '9' (and 1 more)"
    assert problem.extra["errors"][1] == "field b.1: it is required, and was not given"


def test_what_came_is_shown_up_to_a_length() -> None:
    assert shown("a") == "'a'"
    assert shown("x" * 1000) == "'" + "x" * 79 + "... (1002 characters)"
