"""Calls as values."""

from __future__ import annotations

from pathlib import Path

import pytest

from service import calls
from tests.service.serving import picture


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (picture(form="JPEG"), "image/jpeg"),
        (picture(form="PNG"), "image/png"),
        (picture(form="WEBP"), "image/webp"),
        (b"GIF89a", "image/gif"),
        (b"what is this", "image/jpeg"),
        (b"", "image/jpeg"),
    ],
)
def test_the_content_type_goes_by_the_content(data: bytes, expected: str) -> None:
    assert calls.content_type(data) == expected


def test_an_image_is_bytes_or_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(picture())
    for source in (picture(), path, str(path)):
        call = calls.classify(source, None, 1, 0, 0.0)
        assert call.content == picture()
        assert call.headers == {"Content-Type": "image/png"}
    with pytest.raises(FileNotFoundError):
        calls.classify(tmp_path / "none.png", None, 1, 0, 0.0)


@pytest.mark.parametrize(("image", "embedding"), [(None, None), (b"x", [1.0])])
def test_either_an_image_or_an_embedding(
    image: bytes | None, embedding: list[float] | None
) -> None:
    with pytest.raises(TypeError, match="either an image or an embedding"):
        calls.classify(image, embedding, 1, 0, 0.0)


@pytest.mark.parametrize(
    ("label", "path"),
    [("a/b", "/classes/a%2Fb"), ("..", "/classes/%2E%2E"), ("ü?", "/classes/%C3%BC%3F")],
)
def test_labels_are_percent_encoded(label: str, path: str) -> None:
    assert calls.class_info(label).path == path
    assert calls.put_class(label, None).path == path
    assert calls.delete_class(label).path == path


def test_teaching_is_a_form_with_captions_only_where_there_are_some() -> None:
    call = calls.add("red", [b"a", b"b"], ["one", None], True, "key")
    assert call.data == {"label": "red", "caption": ["one", ""]}
    assert call.params == {"relabel": "true"}
    assert call.headers == {"Idempotency-Key": "key"}
    plain = calls.add("red", [b"a"], None, False, None)
    assert plain.data == {"label": "red", "caption": []}
    assert (plain.params, plain.headers) == ({}, {})
