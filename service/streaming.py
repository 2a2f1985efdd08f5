"""A request's bytes, counted as they come: reading stops at the limit, in size and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request
from pydantic import ValidationError

from service.admission import Ticket
from service.errors import Problem, shown, validation_problem
from service.forms import Form, Part
from service.inputs import Body, unknown_hint
from service.middleware import UNREAD

JSON = "application/json"
CLOSE = {"Connection": "close"}
GRACE_SECONDS = 5.0
MOST_ERRORS = 100
# For the names, the lists and what is laid out prettily.
ROOM = 1000

Model = TypeVar("Model", bound=Body)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Reader:
    """One request's body, and what it may be.

    Attributes:
        request: the request; its body is not read yet.
        ticket: what it holds of the service's bound.
        pool: threads for what takes long.
        max_image: most bytes of one image.
        max_request: most bytes of the body.
        timeout: seconds in which the body must have come.
        min_rate: bytes a second that must come, after `GRACE_SECONDS`.
        width: numbers of an embedding.
    """

    request: Request
    ticket: Ticket
    pool: Executor
    max_image: int
    max_request: int
    timeout: float
    min_rate: int
    width: int

    def content_type(self, *accepted: str) -> str:
        """The request's content type, in lower case and without parameters.

        Raises:
            Problem: unsupported-content-type; none of the accepted ones.
        """
        header = self.request.headers.get("content-type", "")
        kind = header.partition(";")[0].strip().lower()
        if kind not in accepted:
            raise Problem(
                "unsupported-content-type",
                f"expected a Content-Type of {', '.join(accepted)}, "
                f"got {shown(header) if header else 'none'}",
            )
        return kind

    async def content(self, limit: int, kind: str = "body-too-large") -> bytes:
        """The whole body.

        Raises:
            Problem: of this kind when it is longer than `limit` bytes.
        """
        parts: list[bytes] = []
        await self._stream(limit, kind, parts.append)
        # Most often there is one, which is then not copied.
        return b"".join(parts)

    async def form(self, fields: Mapping[str, int], limit: int) -> list[Part]:
        """The parts of a multipart form; `fields` says which may come, and how often."""
        form = Form(self.request.headers["content-type"], fields, self.max_image)
        await self._stream(limit, "body-too-large", form.write)
        return form.finish()

    async def json(self, model: type[Model], limit: int, *, optional: bool = False) -> Model:
        """The body as a `model`; with `optional`, nothing at all is an empty object.

        Raises:
            Problem: malformed where it is no JSON, invalid where it is not such an object.
        """
        untyped = optional and "content-type" not in self.request.headers
        if not untyped:
            self.content_type(JSON)
        data = bytearray()
        signs = Signs(model, self.width)

        def take(chunk: bytes) -> None:
            signs.count(chunk)
            data.extend(chunk)

        await self._stream(limit, "body-too-large", take)
        if optional and not data:
            return model()
        self.content_type(JSON)
        return await self.threaded(lambda: parse_json(model, data))

    async def threaded(self, work: Callable[[], Result]) -> Result:
        """Do `work` off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work)

    async def _stream(self, limit: int, kind: str, take: Callable[[bytes], None]) -> None:
        declared = self.request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise _too_large(kind, limit, declared)
        unread: Callable[[], bool] | None = self.request.scope["state"].get(UNREAD)
        if unread is not None and not unread():
            await self._complete(limit, kind, take)
            return
        received = 0
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(self._due(began, 0)) as due:
                with self.ticket.uploading(due):
                    async for chunk in self.request.stream():
                        received += len(chunk)
                        if received > limit:
                            # Its length was not declared, so it may never end: hang up.
                            raise _too_large(kind, limit, "more", CLOSE)
                        self.ticket.hold(len(chunk))
                        take(chunk)
                        due.reschedule(self._due(began, received))
        except TimeoutError:
            raise self._slow(received) from None
        self.ticket.enter()

    async def _complete(self, limit: int, kind: str, take: Callable[[bytes], None]) -> None:
        """Take a body all of which has come: there is nothing to wait for."""
        async for chunk in self.request.stream():
            if len(chunk) > limit:
                raise _too_large(kind, limit, "more", CLOSE)
            self.ticket.hold(len(chunk))
            take(chunk)
        self.ticket.enter()

    def _due(self, began: float, received: int) -> float:
        """When, by the event loop's clock, more must have come."""
        return began + min(self.timeout, GRACE_SECONDS + received / self.min_rate)

    def _slow(self, received: int) -> Problem:
        if self.ticket.gave_way:
            return self.ticket.gate.crowded()
        return Problem(
            "slow-upload",
            f"expected {self.min_rate} bytes a second, and the whole body within "
            f"{self.timeout:g} seconds, got {received} bytes by then",
            headers=CLOSE,
        )


class Signs:
    """Counts what a JSON body is made of, as it comes.

    A number of two bytes takes fifty in memory; so what has more parts than any valid body is
    refused before each becomes an object. In a string a comma is text, so text counts too.

    Args:
        model: that the body is to be.
        width: numbers of an embedding.
    """

    def __init__(self, model: type[Body], width: int) -> None:
        text = model.most_text + ROOM
        commas = model.most_vectors * width + text
        self._left = {b",": commas, b":": text, b"[": text, b"{": text}

    def count(self, chunk: bytes) -> None:
        """Count the next bytes.

        Raises:
            Problem: invalid; there are too many of a sign.
        """
        for sign in self._left:
            self._left[sign] -= chunk.count(sign)
            if self._left[sign] < 0:
                raise Problem(
                    "invalid",
                    "expected a JSON body of the documented form, got one with more "
                    f"{sign.decode()!r} than any such body has",
                )


def parse_json(model: type[Model], data: bytes | bytearray) -> Model:
    """`data` as a `model`.

    Raises:
        Problem: malformed where it is no JSON, invalid where it is not such an object.
    """
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        if error.error_count() > MOST_ERRORS:
            raise Problem(
                "invalid",
                f"expected an object with {', '.join(model.model_fields)}, "
                f"got {error.error_count()} things that do not belong there",
            ) from None
        problems = error.errors(include_url=False, include_context=False)
    if problems[0]["type"] == "json_invalid":
        raise Problem("malformed", f"expected JSON, got a body that breaks: {problems[0]['msg']}")
    # First what is unknown: a mistyped name explains the one that is missing.
    problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
    raise validation_problem(
        [
            {**problem, "msg": unknown_hint(model, str(problem["loc"][-1]))}
            if problem["type"] == "extra_forbidden"
            else problem
            for problem in problems
        ],
        "field",
    )


def _too_large(
    kind: str, limit: int, got: str, headers: Mapping[str, str] | None = None
) -> Problem:
    return Problem(kind, f"expected at most {limit} bytes, got {got}", headers=headers)
