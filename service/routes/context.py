"""What every call needs: the engine, a reader of the body, strict parameters, documented errors."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.convertors import Convertor, register_url_convertor

from service.engine import Engine
from service.errors import KINDS, PROBLEM_JSON, TYPE_PREFIX, Problem
from service.schemas import REQUEST_ID
from service.streaming import Reader

DESCRIPTIONS = {
    400: "The body cannot be read: no JSON, no form, no base64, or an empty image.",
    401: "There is no API key, or none that is valid, where one is asked for.",
    403: "The API key's scope does not do.",
    404: "There is no such thing.",
    408: "The body did not come in time.",
    409: "It conflicts with what the cache holds.",
    413: "Too many bytes or pixels.",
    415: "Not a content type, or not a kind of image, that is taken.",
    422: "A value is out of range or unknown, or an image cannot be decoded.",
    429: "The API key is over its limit; `Retry-After` says when to come back.",
    507: "The disk is full; nothing was changed.",
    503: "Full, or not ready yet; `Retry-After` says when to come back.",
}
# Of the door, in front of every call that may ask for an API key.
REFUSALS = (401, 403, 429, 503)


class LabelConvertor(Convertor[str]):
    """A label in a path: anything at all, slashes and line breaks too."""

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        """The label."""
        return value

    def to_string(self, value: str) -> str:
        """The label."""
        return value


register_url_convertor("label", LabelConvertor())


async def _engine(request: Request) -> Engine:
    """The engine, once it can answer; until then a not-ready problem."""
    engine: Engine = request.app.state.engine
    engine.cache  # noqa: B018 (it raises the problem)
    return engine


ReadyEngine = Annotated[Engine, Depends(_engine)]


def reader_of(request: Request, engine: Engine) -> Reader:
    """What reads a request's body. Raises Problem: not-ready."""
    settings = engine.settings
    return Reader(
        request=request,
        ticket=request.scope["state"]["ticket"],
        pool=engine.pool,
        max_image=settings.max_image_bytes,
        max_request=settings.max_request_bytes,
        timeout=settings.request_timeout,
        min_rate=settings.min_upload_rate,
        width=engine.cache.encoder.width,
    )


async def _reader(request: Request, engine: ReadyEngine) -> Reader:
    return reader_of(request, engine)


BodyReader = Annotated[Reader, Depends(_reader)]


async def single_values(request: Request) -> None:
    """Refuse a query parameter that is given twice: which one was meant is anybody's guess."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in counts.items():
        if count > 1:
            raise Problem("invalid", f"query parameter {name}: expected it once, got {count}")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented errors of a call that reads the cache, or changes it."""
    return {status: _documented(status) for status in sorted({*REFUSALS, *statuses, 422})}


def refusals() -> dict[int | str, dict[str, Any]]:
    """The documented errors of a call that may ask for an API key."""
    return {status: _documented(status) for status in REFUSALS}


def body(content: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    """The documented body of a call that reads it itself."""
    return {"requestBody": {"required": required, "content": content}}


def schema(name: str) -> dict[str, Any]:
    """A reference to a schema of the document."""
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


def _documented(status: int) -> dict[str, Any]:
    kind = next(name for name, kind in KINDS.items() if kind.status == status)
    example = {
        "type": TYPE_PREFIX + kind,
        "title": KINDS[kind].title,
        "status": status,
        "detail": DESCRIPTIONS[status],
        "request_id": REQUEST_ID,
    }
    content = {PROBLEM_JSON: {**schema("ProblemDocument"), "example": example}}
    return {"description": DESCRIPTIONS[status], "content": content}
