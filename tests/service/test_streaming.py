"""Bytes are counted as they come."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from service import streaming
from service.admission import Gate
from service.errors import Problem
from service.inputs import (
    MAX_ADD_IMAGES,
    MAX_BATCH_IMAGES,
    MAX_CAPTION,
    MAX_PROMPT,
    MAX_PROMPTS,
    AddBody,
    BatchBody,
    Body,
    ClassBody,
    ClassifyBody,
    ShotPatch,
)
from service.streaming import Reader, parse_json
from tests.service.requests import WIDTH, make_request, read

JSON = {"Content-Type": "application/json"}
Model = TypeVar("Model", bound=Body)


async def take(reader: Reader) -> bytes:
    return await reader.content(10)


def test_a_body_at_the_limit_is_whole() -> None:
    assert read(take, [b"12345", b"67890"]) == b"1234567890"


def test_a_declared_length_over_the_limit_is_refused_before_reading() -> None:
    def chunks() -> Iterator[bytes]:
        yield from ()

    with pytest.raises(Problem, match=r"at most 10 bytes, got 11$") as refused:
        read(take, chunks(), {"Content-Length": "11"}, stall=True)
    assert refused.value.kind == "body-too-large"
    assert "Connection" not in refused.value.headers


def test_an_undeclared_body_is_stopped_at_the_limit() -> None:
    with pytest.raises(Problem, match="expected at most 10 bytes, got more") as refused:
        read(take, [b"12345678901"], stall=True)
    # It may never end, so the connection does.
    assert refused.value.headers["Connection"] == "close"


def test_bytes_held_by_all_requests_are_bounded() -> None:
    with pytest.raises(Problem) as refused:
        read(take, [b"12345", b"67890"], max_bytes=9)
    assert refused.value.kind == "overloaded"


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with pytest.raises(Problem, match=r"within 0\.01 seconds, got 3 bytes") as refused:
        read(take, [b"123"], timeout=0.01, stall=True)
    assert refused.value.status == 408
    assert refused.value.headers["Connection"] == "close"


def test_a_body_that_comes_too_slowly_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "GRACE_SECONDS", 0.02)
    began = time.monotonic()
    with pytest.raises(Problem, match="expected 100 bytes a second") as refused:
        read(take, [b"1234567890"], min_rate=100, stall=True)
    assert refused.value.kind == "slow-upload"
    # Ten bytes are worth a tenth of a second more.
    assert 0.1 < time.monotonic() - began < 1


def test_a_body_takes_a_place_when_it_is_complete() -> None:
    async def places(reader: Reader) -> tuple[int, int, int]:
        before = reader.ticket.gate.requests
        await reader.content(10)
        gate = reader.ticket.gate
        return before, gate.requests, len(gate.uploads)

    assert read(places, [b"12"]) == (0, 1, 0)


def test_a_large_upload_gives_way_to_a_small_one() -> None:
    gate = Gate(9, 100)

    async def upload(size: int, *, stall: bool) -> bytes:
        with ThreadPoolExecutor(1) as pool, gate.ticket() as ticket:
            request = make_request([b"x" * size], stall=stall)
            return await Reader(request, ticket, pool, 1000, 5000, 10, 1, WIDTH).content(1000)

    async def scenario() -> None:
        large = asyncio.create_task(upload(90, stall=True))
        await asyncio.sleep(0.01)
        assert gate.bytes == 90
        with pytest.raises(Problem, match="hold 90 bytes of 100"):
            await upload(50, stall=False)
        assert await upload(20, stall=False)
        with pytest.raises(Problem) as refused:
            await large
        assert refused.value.kind == "overloaded"
        assert (gate.bytes, gate.requests, gate.uploads) == (0, 0, {})

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("header", "got"), [({}, "none"), ({"Content-Type": "text/plain"}, "'text/plain'")]
)
def test_other_content_types_are_refused(header: dict[str, str], got: str) -> None:
    async def check(reader: Reader) -> str:
        return reader.content_type("image/png", "image/webp")

    with pytest.raises(Problem, match=f"image/png, image/webp, got {got}") as refused:
        read(check, headers=header)
    assert refused.value.status == 415


def test_a_content_type_is_read_without_its_parameters_and_case() -> None:
    async def check(reader: Reader) -> str:
        return reader.content_type("application/json")

    given = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert read(check, headers=given) == "application/json"


async def optional(reader: Reader) -> ClassBody:
    return await reader.json(ClassBody, 100, optional=True)


def test_an_optional_body_may_be_left_out() -> None:
    assert read(optional).prompts is None
    assert read(optional, headers=JSON).prompts is None
    assert read(optional, [b'{"prompts": ["a"]}'], JSON).prompts == ["a"]


def test_a_body_without_a_content_type_is_refused_even_where_it_is_optional() -> None:
    with pytest.raises(Problem, match="got none"):
        read(optional, [b'{"prompts": ["a"]}'])


@pytest.mark.parametrize(
    "data", [b"", b"{", b"{'a': 1}", b'{"label": "\\ud800"}', b"\xff", b"nothing", b"[" * 1000]
)
def test_what_is_no_json_is_malformed(data: bytes) -> None:
    with pytest.raises(Problem, match="expected JSON") as refused:
        parse_json(ShotPatch, data)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"labels": "a"}', r"field labels: unknown, did you mean label\?"),
        (b'{"zzz": "a"}', "field zzz: unknown, expected one of label"),
        (b'{"label": 5}', r"field label: expected a valid string, got 5"),
        (b"[]", "expected an object"),
        (b"null", "expected an object"),
        (b'{"label": 1, "x": 2}', r"\(and 1 more\)"),
    ],
)
def test_json_of_another_form_is_invalid(data: bytes, message: str) -> None:
    with pytest.raises(Problem, match=message) as refused:
        parse_json(ShotPatch, data)
    assert refused.value.status == 422


def test_a_missing_field_is_named() -> None:
    with pytest.raises(Problem, match="field label: it is required"):
        parse_json(AddBody, b"{}")


@pytest.mark.parametrize("number", ["true", '"1"', "null", "[1]"])
def test_an_embedding_holds_numbers_only(number: str) -> None:
    with pytest.raises(Problem, match=r"field embedding\.1"):
        parse_json(ClassifyBody, f'{{"embedding": [1, {number}]}}'.encode())


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(Problem) as refused:
        parse_json(ClassBody, b'{"prompts": "' + b"x" * 10_000 + b'"}')
    assert len(refused.value.detail) < 300


@pytest.mark.parametrize("flood", [b"1," * 10**4, b"[" * 10**4, b'{"a":' * 10**4])
def test_the_parts_of_a_body_are_counted_as_they_come(flood: bytes) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"embedding": ['
        yield flood[:8000]
        yield flood[8000:]

    with pytest.raises(Problem, match="than any such body has") as refused:
        read(lambda reader: reader.json(ClassifyBody, 10**6), chunks(), JSON, stall=True)
    assert refused.value.status == 422


def test_the_largest_valid_bodies_are_taken() -> None:
    def taken(model: type[Model], **body: Any) -> Model:
        chunks = [json.dumps(body, indent=1).encode()]
        return read(lambda reader: reader.json(model, 10**8), chunks, JSON, max_bytes=10**8)

    vector = [0.5] * WIDTH
    batch = taken(BatchBody, embeddings=[vector] * MAX_BATCH_IMAGES)
    assert len(batch.embeddings or ()) == MAX_BATCH_IMAGES
    captions = [":,[{" * (MAX_CAPTION // 4)] * MAX_ADD_IMAGES
    lesson = {"label": "," * 256, "embeddings": [vector] * MAX_ADD_IMAGES, "captions": captions}
    assert taken(AddBody, **lesson).captions == captions
    prompts = ["," * MAX_PROMPT] * MAX_PROMPTS
    assert taken(ClassBody, prompts=prompts).prompts == prompts


def test_many_mistakes_are_one_message() -> None:
    keys = ", ".join(f'"key{number}": 1' for number in range(500))
    with pytest.raises(Problem, match=r"label.*got 501 things that do not belong"):
        parse_json(ShotPatch, f"{{{keys}}}".encode())
    numbers = b",".join([b"null"] * 1000)
    with pytest.raises(Problem, match=r"field embedding\.0") as refused:
        parse_json(ClassifyBody, b'{"embedding": [' + numbers + b"]}")
    assert len(refused.value.extra["errors"]) == 1
