"""POST /cache/add and GET /cache: teach, and see what has been taught."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

import indexer.cache
from indexer.records import Reply
from service.bodies import MULTIPART, read_lesson
from service.changing import IdempotencyKey, asked, reply, sent
from service.hints import notice
from service.inputs import MAX_ADD_IMAGES, AddQuery, NoQuery
from service.routes.classify import BINARY
from service.routes.context import (
    BodyReader,
    ReadyEngine,
    body,
    problems,
    schema,
    single_values,
)
from service.schemas import AdapterInfo, Added, CacheState, EncoderInfo
from service.streaming import JSON

router = APIRouter(prefix="/cache", tags=["cache"], dependencies=[Depends(single_values)])


def _several(items: dict[str, Any], least: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least, "maxItems": MAX_ADD_IMAGES}


LESSON = body(
    {
        MULTIPART: {
            "schema": {
                "type": "object",
                "properties": {
                    "label": {"type": "string", "minLength": 1, "maxLength": 256},
                    "image": _several(BINARY, 1),
                    "caption": _several({"type": "string"}, 0),
                },
                "required": ["label", "image"],
                "additionalProperties": False,
            }
        },
        JSON: schema("AddBody"),
    }
)


@router.post(
    "/add",
    summary="Teach",
    response_description="Taught, and on disk.",
    status_code=201,
    response_model=Added,
    responses={
        200: {"model": Added, "description": "All the images were there already."},
        **problems(400, 408, 409, 413, 415, 507),
    },
    openapi_extra=LESSON,
)
async def add(
    request: Request,
    engine: ReadyEngine,
    reader: BodyReader,
    query: Annotated[AddQuery, Query()],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Up to 64 images of one label, with a caption each or none; all of them or none.

    On disk when it is answered. A label not seen before makes a class. The same bytes under the
    same label again give the shot that is there; under another label they are a conflict, unless
    `relabel` is true.

        curl -F label=truck -F image=@1.jpg -F image=@2.jpg http://127.0.0.1:8000/cache/add
    """
    lesson = await read_lesson(reader)

    def answer(added: indexer.cache.Added) -> Reply:
        taught = Added(
            shot_ids=list(added.shot_ids),
            created=list(added.created),
            merged=list(added.merged),
            label=added.label,
            shots_in_class=added.shots_in_class,
            cache_version=added.version,
            request_id=request.state.request_id,
        )
        return reply(201 if any(added.created) else 200, taught)

    wanted = asked(request, engine, idempotency_key)

    def work() -> Coroutine[Any, Any, Reply]:
        return engine.add(lesson, wanted, answer, relabel=query.relabel)

    return await sent(request, engine, wanted, work, lesson.images)


@router.get("", summary="See the cache", response_description="Its state.", responses=problems())
def read_cache(engine: ReadyEngine, _: Annotated[NoQuery, Query()]) -> CacheState:
    """How much it holds, its version, and what answers are made with."""
    info = engine.cache.info()
    return CacheState(
        classes=info.classes,
        shots=info.shots,
        version=info.version,
        fitted_version=info.fitted_version,
        encoder=EncoderInfo(
            name=info.model,
            fingerprint=info.fingerprint,
            width=info.width,
            notice=notice(info.model),
        ),
        adapter=AdapterInfo(
            method=info.method,
            fit=None if info.fit is None else asdict(info.fit),
            number=info.adapter,
            networks=None if info.networks is None else str(info.networks),
        ),
        index=info.index or "",
        text_index=info.text_index or "",
        templates=list(info.templates),
        bytes=info.bytes,
    )
