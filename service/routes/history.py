"""The cache's versions: list, compare, go back to one."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from indexer.cache import Cache
from service.changing import IdempotencyKey, changed
from service.errors import busy
from service.historian import Historian
from service.history_schemas import CacheVersion, Difference, DiffPage, RolledBack, VersionPage
from service.inputs import DiffQuery, ListQuery, NoQuery, RollbackBody
from service.routes.context import (
    BodyReader,
    ReadyEngine,
    body,
    problems,
    schema,
    single_values,
)
from service.routes.shots import SMALL_BODY
from service.streaming import JSON

router = APIRouter(prefix="/cache", tags=["history"], dependencies=[Depends(single_values)])


@router.get(
    "/versions",
    summary="List versions",
    response_description="A page of them.",
    responses=problems(),
)
def list_versions(engine: ReadyEngine, query: Annotated[ListQuery, Query()]) -> VersionPage:
    """What changed the cache, when, and who asked for it, newest first.

    It begins where `xmadapter cache compact` has erased what was before.
    """
    page = engine.cache.versions(query.limit, query.cursor)
    versions = [CacheVersion.model_validate(each, from_attributes=True) for each in page.items]
    return VersionPage(versions=versions, next_cursor=page.next_cursor)


@router.get(
    "/diff",
    summary="Compare two versions",
    response_description="How much differs, and a page of it.",
    responses=problems(404),
)
async def diff(
    request: Request, engine: ReadyEngine, query: Annotated[DiffQuery, Query()]
) -> DiffPage:
    """What must be done to one version to have the other; either may be the later one.

    Classes come first, then shots, oldest first. A cursor goes on in the same two versions,
    whatever has changed since.
    """
    historian: Historian = request.app.state.historian
    timeout = engine.settings.request_timeout
    work = historian.page(query.from_version, query.to_version, query.limit, query.cursor)
    try:
        counts, page = await asyncio.wait_for(work, timeout)
    except TimeoutError:
        raise busy(
            "timeout", f"the comparison took longer than {timeout:g} seconds: try again"
        ) from None
    return DiffPage(
        from_version=query.from_version,
        to_version=query.to_version,
        counts=dict(counts),
        differences=[Difference.model_validate(each, from_attributes=True) for each in page.items],
        next_cursor=page.next_cursor,
    )


@router.post(
    "/rollback",
    summary="Go back to a version",
    response_description="What is in force now.",
    responses=problems(400, 404, 408, 409, 413, 415, 507),
    response_model=RolledBack,
    openapi_extra=body({JSON: schema("RollbackBody")}),
)
async def rollback(
    request: Request,
    engine: ReadyEngine,
    reader: BodyReader,
    _: Annotated[NoQuery, Query()],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Have in force again what was at a version: its shots, their classes and prompts.

    It makes a further version, so nothing is lost: one can go back to what was before it too.
    Trained adapters stay as they are.
    """
    wanted = (await reader.json(RollbackBody, SMALL_BODY)).version

    def work(cache: Cache, caller: str | None) -> tuple[int, RolledBack]:
        version = cache.rollback(wanted, caller=caller)
        now = cache.versions(limit=1).items[0]
        return 200, RolledBack(
            restored_version=wanted, classes=now.classes, shots=now.shots, cache_version=version
        )

    return await changed(request, engine, idempotency_key, work, wanted)
