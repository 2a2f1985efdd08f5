"""What callers send beside images."""

from __future__ import annotations

import base64

import pytest
from pydantic import ValidationError

from adapter.images import open_image
from service.inputs import IMAGE, AddBody, ClassifyBody, ClassifyQuery, NoQuery, unknown_hint


def test_unknown_names_get_a_hint() -> None:
    assert unknown_hint(ClassifyQuery, "top-k") == "unknown, did you mean top_k?"
    assert unknown_hint(NoQuery, "x") == "unknown, none is taken"
    with pytest.raises(ValidationError, match="topk: unknown, did you mean top_k"):
        ClassifyQuery.model_validate({"topk": 1})


def test_numbers_and_texts_are_not_made_from_each_other() -> None:
    assert ClassifyBody.model_validate_json('{"embedding": [1, 2.5]}').embedding == [1.0, 2.5]
    for wrong in ('{"embedding": ["1"]}', '{"embedding": [true]}', '{"image": 5}'):
        with pytest.raises(ValidationError):
            ClassifyBody.model_validate_json(wrong)


def test_captions_may_be_missing_one_by_one() -> None:
    body = AddBody.model_validate_json('{"label": "a", "captions": ["x", null, ""]}')
    assert body.captions == ["x", None, ""]


def test_the_documented_image_is_one() -> None:
    assert open_image(base64.b64decode(IMAGE, validate=True)).rows[0, 0].tolist() == [255, 0, 0]
