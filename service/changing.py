"""A request that changes the cache: its idempotency key, its answer, and both kept together."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any

from fastapi import Header, Request, Response
from pydantic import BaseModel

from indexer.cache import Cache
from indexer.records import Reply
from service.engine import Engine
from service.jobs import Asked
from service.waiting import answered

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same request again with the same key gets the first answer, byte for "
        "byte, and changes nothing.",
    ),
]

Answering = Callable[[Cache, str | None], tuple[int, BaseModel]]
"""Changes the cache for a caller, and gives status and body of the answer."""


def asked(request: Request, engine: Engine, key: str | None, *what: Any) -> Asked:
    """What a request asks for, by whom, and under which key; `what` is its body as values."""
    caller = request.state.caller
    address = [request.method, request.url.path, sorted(request.query_params.multi_items())]
    # Another caller's key is another key.
    scoped = None if key is None else f"{caller or ''}\n{key}"
    kept = engine.settings.idempotency_hours * 3600
    return Asked(caller, scoped, [*address, *what], kept)


def reply(status: int, body: BaseModel) -> Reply:
    """An answer as it is sent, and kept."""
    return Reply(status, body.model_dump_json().encode())


async def changed(
    request: Request, engine: Engine, key: str | None, work: Answering, *what: Any
) -> Response:
    """Change the cache, and answer.

    Args:
        request: its body has been read.
        engine: of the service.
        key: the request's idempotency key.
        work: makes the change.
        what: the request's body, as values.

    Raises:
        Problem, CacheError: the change was not made.
    """
    wanted = asked(request, engine, key, *what)

    def commit(cache: Cache) -> Reply:
        return reply(*work(cache, wanted.caller))

    return await sent(request, engine, wanted, lambda: engine.change(wanted, commit))


async def sent(
    request: Request,
    engine: Engine,
    wanted: Asked,
    work: Callable[[], Coroutine[Any, Any, Reply]],
    images: Sequence[Any] = (None,),
) -> Response:
    """The answer to a change, once it is on disk; see `changed`."""
    with engine.claims.held(wanted.key, engine.cache.has_answer):
        timeout = engine.settings.request_timeout
        found = await answered(request, work(), timeout, len(images))
    return Response(found.body, found.status, media_type="application/json")
