"""The classes: list, read, name, describe, forget."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from indexer.cache import Cache
from service.changing import IdempotencyKey, changed
from service.inputs import ClassBody, ListQuery, NoQuery
from service.routes.context import (
    BodyReader,
    ReadyEngine,
    body,
    problems,
    schema,
    single_values,
)
from service.routes.shots import SMALL_BODY
from service.schemas import ClassChanged, ClassDeleted, ClassInfo, ClassPage
from service.streaming import JSON

router = APIRouter(prefix="/classes", tags=["classes"], dependencies=[Depends(single_values)])

Label = Annotated[
    str, Path(description="The class's label, percent-encoded; a slash may stand as it is.")
]


@router.get(
    "", summary="List classes", response_description="A page of them.", responses=problems()
)
def list_classes(engine: ReadyEngine, query: Annotated[ListQuery, Query()]) -> ClassPage:
    """The classes, oldest first."""
    page = engine.cache.classes(query.limit, query.cursor)
    classes = [ClassInfo.model_validate(info, from_attributes=True) for info in page.items]
    return ClassPage(classes=classes, next_cursor=page.next_cursor)


@router.get(
    "/{label:label}",
    summary="Read a class",
    response_description="The class.",
    responses=problems(404),
)
def read_class(engine: ReadyEngine, label: Label, _: Annotated[NoQuery, Query()]) -> ClassInfo:
    """One class."""
    return ClassInfo.model_validate(engine.cache.class_info(label), from_attributes=True)


@router.put(
    "/{label:label}",
    summary="Name or describe a class",
    response_description="The class as it is now.",
    responses={
        201: {"model": ClassChanged, "description": "A new class."},
        **problems(400, 408, 409, 413, 415, 507),
    },
    response_model=ClassChanged,
    openapi_extra=body({JSON: schema("ClassBody")}, required=False),
)
async def put_class(
    request: Request,
    engine: ReadyEngine,
    reader: BodyReader,
    label: Label,
    _: Annotated[NoQuery, Query()],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make a class without images, or change its prompts.

    A class with only a name is answered zero-shot, from its prompts alone.

        curl -X PUT http://127.0.0.1:8000/classes/truck
    """
    given = await reader.json(ClassBody, SMALL_BODY, optional=True)

    def work(cache: Cache, caller: str | None) -> tuple[int, ClassChanged]:
        info, created, version = cache.put_class(label, given.prompts, caller=caller)
        body = ClassChanged.model_validate({**vars(info), "cache_version": version})
        return 201 if created else 200, body

    return await changed(request, engine, idempotency_key, work, given.prompts)


@router.delete(
    "/{label:label}",
    summary="Forget a class",
    response_description="It is gone, with its shots.",
    responses=problems(404, 409, 507),
    response_model=ClassDeleted,
)
async def delete_class(
    request: Request,
    engine: ReadyEngine,
    label: Label,
    _: Annotated[NoQuery, Query()],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Forget a class with all its shots; versions before still hold them."""

    def work(cache: Cache, caller: str | None) -> tuple[int, ClassDeleted]:
        shots, version = cache.delete_class(label, caller=caller)
        return 200, ClassDeleted(label=label, shots_deleted=shots, cache_version=version)

    return await changed(request, engine, idempotency_key, work)
