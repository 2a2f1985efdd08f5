"""Multipart forms, byte by byte."""

from __future__ import annotations

import pytest

from service.errors import Problem
from service.forms import TEXT_LIMIT, Form, Part

TYPE = "multipart/form-data; boundary=xyz"
LIMITS = {"label": 1, "image": 2}


def form(*parts: tuple[str, bytes], end: bytes = b"--xyz--\r\n") -> bytes:
    body = b""
    for name, data in parts:
        header = f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        body += header.encode() + data + b"\r\n"
    return body + end


def read(body: bytes, *, image_bytes: int = 100, piece: int | None = None) -> list[Part]:
    reading = Form(TYPE, LIMITS, image_bytes)
    step = piece or max(len(body), 1)
    for start in range(0, len(body), step):
        reading.write(body[start : start + step])
    return reading.finish()


@pytest.mark.parametrize("piece", [None, 1, 7])
def test_parts_come_out_as_they_went_in_however_the_bytes_arrive(piece: int | None) -> None:
    data = bytes(range(100))
    parts = read(form(("label", "Ø/日本".encode()), ("image", data), ("image", b"")), piece=piece)
    assert [part.name for part in parts] == ["label", "image", "image"]
    assert parts[0].text() == "Ø/日本"
    assert [bytes(part.data) for part in parts[1:]] == [data, b""]


def test_a_part_over_its_limit_is_counted_and_not_kept() -> None:
    part, other = read(form(("image", b"x" * 101), ("image", b"y")), piece=10)
    assert part.oversized
    assert part.size == 101
    assert len(part.data) <= 100
    assert bytes(other.data) == b"y"
    assert not other.oversized


def test_a_long_text_is_refused() -> None:
    (part,) = read(form(("label", b"x" * (TEXT_LIMIT + 1))))
    with pytest.raises(Problem, match=f"at most {TEXT_LIMIT} bytes"):
        part.text()


def test_text_that_is_not_utf8_is_refused() -> None:
    (part,) = read(form(("label", b"\xff")))
    with pytest.raises(Problem, match="expected UTF-8"):
        part.text()


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (form(("colour", b"red")), "invalid", "'colour': unknown, expected one of label, image"),
        (form(("label", b"a"), ("label", b"b")), "invalid", "label: expected at most 1"),
        (form(("image", b"a"), end=b""), "malformed", "cut off"),
        (b"no form at all", "malformed", "a form that breaks"),
        (b"", "malformed", "cut off"),
        (b"--xyz\r\nX-Other: 1\r\n\r\n\r\n--xyz--\r\n", "invalid", "'': unknown"),
        (b"--xyz\r\n" + b"A: b\r\n" * 1000, "malformed", "a form that breaks"),
    ],
)
def test_forms_that_are_wrong(body: bytes, kind: str, message: str) -> None:
    with pytest.raises(Problem, match=message) as refused:
        read(body)
    assert refused.value.kind == kind


@pytest.mark.parametrize("header", ["multipart/form-data", "multipart/form-data; boundary="])
def test_a_boundary_is_needed(header: str) -> None:
    with pytest.raises(Problem, match="with a boundary"):
        Form(header, LIMITS, 100)


def test_an_endless_boundary_is_refused() -> None:
    with pytest.raises(Problem, match="Boundary length"):
        Form(f"multipart/form-data; boundary={'x' * 1000}", LIMITS, 100)


@pytest.mark.parametrize("piece", [None, 10_007])
def test_more_parts_than_any_form_has_are_refused_before_they_are_read(piece: int | None) -> None:
    for body in (
        form(*[("image", b"a")] * 10_000),
        b"--xyz\r\nContent-Disposition: form-data; name=image\r\n\r\n" + b"\r\n--xyzA" * 100_000,
    ):
        with pytest.raises(Problem, match=r"at most [23] (parts|of it), got more") as refused:
            read(body, piece=piece)
        assert refused.value.kind == "invalid"


def test_what_is_by_chance_nearly_a_boundary_is_data() -> None:
    data = b"\r\n--xyzA" * 10
    (part,) = read(form(("image", data)), piece=3)
    assert bytes(part.data) == data


@pytest.mark.parametrize("piece", [None, 20_000])
def test_a_boundary_may_not_go_on_in_blanks(piece: int | None) -> None:
    start = form(("image", b"a"), end=b"--xyz")
    with pytest.raises(Problem, match="endless blanks"):
        read(start + b" " * 100_000, piece=piece)
    follows = b" \t\r\nContent-Disposition: form-data; name=image\r\n\r\nb\r\n--xyz--\r\n"
    assert [bytes(part.data) for part in read(start + follows)] == [b"a", b"b"]


@pytest.mark.parametrize(
    "header", [b"A: " + b"b" * 100_000, b"A" * 100_000, b"A: b\r\n" * 10_000, b"A: " + b" " * 10**5]
)
def test_the_headers_of_a_part_have_an_end(header: bytes) -> None:
    with pytest.raises(Problem, match="a form that breaks: Maximum header"):
        read(b"--xyz\r\n" + header, piece=1000)
