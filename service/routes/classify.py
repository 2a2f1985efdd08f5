"""POST /classify and /classify/batch."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from service.answers import Document, written
from service.bodies import IMAGE_TYPES, MULTIPART, Given, read_image, read_images
from service.engine import Answered, Engine
from service.errors import Problem
from service.inputs import MAX_BATCH_IMAGES, ClassifyQuery
from service.routes.context import BodyReader, ReadyEngine, body, problems, schema, single_values
from service.schemas import BatchClassification, Classification
from service.streaming import JSON
from service.waiting import answered

PATH = "/classify"

router = APIRouter(tags=["classify"], dependencies=[Depends(single_values)])

BINARY: dict[str, Any] = {"type": "string", "format": "binary"}
ONE_IMAGE = body(
    {
        MULTIPART: {
            "schema": {
                "type": "object",
                "properties": {"image": BINARY},
                "required": ["image"],
                "additionalProperties": False,
            }
        },
        **{kind: {"schema": BINARY} for kind in IMAGE_TYPES},
        JSON: schema("ClassifyBody"),
    }
)
IMAGES = body(
    {
        MULTIPART: {
            "schema": {
                "type": "object",
                "properties": {
                    "image": {
                        "type": "array",
                        "items": BINARY,
                        "minItems": 1,
                        "maxItems": MAX_BATCH_IMAGES,
                    }
                },
                "required": ["image"],
                "additionalProperties": False,
            }
        },
        JSON: schema("BatchBody"),
    }
)


@router.post(
    PATH,
    response_model=Classification,
    summary="Classify one image",
    response_description="The answer.",
    responses=problems(400, 408, 409, 413, 415),
    openapi_extra=ONE_IMAGE,
)
async def classify(
    request: Request,
    engine: ReadyEngine,
    reader: BodyReader,
    query: Annotated[ClassifyQuery, Query()],
) -> Response:
    """One image to its label, with the evidence for it.

    The image is the raw body (the fast way), the form field `image`, or base64 in JSON; a ready
    `embedding` does too. The terms of a class add up to its logit.

        curl -F image=@photo.jpg http://127.0.0.1:8000/classify
    """
    image = await read_image(reader)
    return Response(await classified(request, engine, image, query), media_type=JSON)


@router.post(
    "/classify/batch",
    response_model=BatchClassification,
    summary="Classify several images",
    response_description="The answers, in order.",
    responses=problems(400, 408, 409, 413, 415),
    openapi_extra=IMAGES,
)
async def classify_batch(
    request: Request,
    engine: ReadyEngine,
    reader: BodyReader,
    query: Annotated[ClassifyQuery, Query()],
) -> Response:
    """Up to 128 images in one call, answered in their order.

    An image that cannot be used has an `error` in its place; the others are answered.

        curl -F image=@a.jpg -F image=@b.jpg http://127.0.0.1:8000/classify/batch
    """
    given = await read_images(reader)
    timeout = engine.settings.request_timeout
    found = await answered(request, engine.classify(given, query), timeout, len(given))
    request_id: str = request.state.request_id
    results = [
        {"error": result.document(request_id)} if isinstance(result, Problem) else result
        for result in found.results
    ]
    return Response(_answer({"results": results}, found, engine, request), media_type=JSON)


async def classified(request: Request, engine: Engine, image: Given, query: ClassifyQuery) -> bytes:
    """The answer to one image, a `Classification` as JSON.

    Raises:
        Problem, CacheError: it cannot be answered.
        CallerGone: nobody waits any more.
    """
    timeout = engine.settings.request_timeout
    found = await answered(request, engine.classify([image], query), timeout)
    (verdict,) = found.results
    if isinstance(verdict, Problem):
        raise verdict
    return _answer(verdict, found, engine, request)


def _answer(members: Document, found: Answered, engine: Engine, request: Request) -> bytes:
    """Written once: no model is made of an answer, and none checks it."""
    document = {
        **members,
        "cache_version": found.cache_version,
        "adapter": found.adapter,
        "model": engine.cache.encoder.name,
        "request_id": request.scope["state"]["request_id"],
    }
    return written(document)
