"""The labelled examples: list, read, relabel, forget, show."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response

from indexer.cache import Cache
from service.changing import IdempotencyKey, changed
from service.errors import Problem
from service.inputs import NoQuery, ShotPatch, ShotsQuery
from service.routes.context import (
    BodyReader,
    ReadyEngine,
    body,
    problems,
    schema,
    single_values,
)
from service.schemas import Shot, ShotChanged, ShotDeleted, ShotPage
from service.streaming import JSON

router = APIRouter(prefix="/cache/shots", tags=["shots"], dependencies=[Depends(single_values)])

SMALL_BODY = 2**20
ShotId = Annotated[str, Path(description="As /cache/add gave it.")]


@router.get(
    "", summary="List shots", response_description="A page of them.", responses=problems(404)
)
def list_shots(engine: ReadyEngine, query: Annotated[ShotsQuery, Query()]) -> ShotPage:
    """The shots, oldest first; of one class with `label`."""
    page = engine.cache.shots(query.label, query.limit, query.cursor)
    shots = [Shot.model_validate(info, from_attributes=True) for info in page.items]
    return ShotPage(shots=shots, next_cursor=page.next_cursor)


@router.get(
    "/{shot_id}", summary="Read a shot", response_description="The shot.", responses=problems(404)
)
def read_shot(engine: ReadyEngine, shot_id: ShotId, _: Annotated[NoQuery, Query()]) -> Shot:
    """One shot."""
    return Shot.model_validate(engine.cache.shot(shot_id), from_attributes=True)


@router.get(
    "/{shot_id}/image",
    summary="See a shot",
    response_class=Response,
    responses={
        200: {"content": {"image/webp": {}}, "description": "The picture, at most 256 wide."},
        **problems(404),
    },
)
def shot_image(engine: ReadyEngine, shot_id: ShotId, _: Annotated[NoQuery, Query()]) -> Response:
    """A shot's thumbnail."""
    picture = engine.cache.thumbnail(shot_id)
    if picture is None:
        raise Problem("no-thumbnail", f"shot {shot_id} was taught as an embedding: it has no image")
    headers = {"Cache-Control": "private, max-age=86400"}
    return Response(picture, media_type="image/webp", headers=headers)


@router.patch(
    "/{shot_id}",
    summary="Relabel a shot",
    response_description="The shot as it is now.",
    responses=problems(400, 404, 408, 409, 413, 415, 507),
    response_model=ShotChanged,
    openapi_extra=body({JSON: schema("ShotPatch")}),
)
async def change_shot(
    request: Request,
    engine: ReadyEngine,
    reader: BodyReader,
    shot_id: ShotId,
    _: Annotated[NoQuery, Query()],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Move a shot to another class; a label not seen before makes one."""
    patch = await reader.json(ShotPatch, SMALL_BODY)

    def work(cache: Cache, caller: str | None) -> tuple[int, ShotChanged]:
        info, version = cache.relabel(shot_id, patch.label, caller=caller)
        return 200, ShotChanged.model_validate({**vars(info), "cache_version": version})

    return await changed(request, engine, idempotency_key, work, patch.label)


@router.delete(
    "/{shot_id}",
    summary="Forget a shot",
    response_description="It is gone.",
    responses=problems(404, 409, 507),
    response_model=ShotDeleted,
)
async def forget_shot(
    request: Request,
    engine: ReadyEngine,
    shot_id: ShotId,
    _: Annotated[NoQuery, Query()],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Forget a shot; its class stays, with no shot if this was its last.

    Versions before still hold it, until `xmadapter cache compact` erases these.
    """

    def work(cache: Cache, caller: str | None) -> tuple[int, ShotDeleted]:
        version = cache.forget(shot_id, caller=caller)
        return 200, ShotDeleted(shot_id=shot_id, cache_version=version)

    return await changed(request, engine, idempotency_key, work)
