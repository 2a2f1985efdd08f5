"""The application: engine, calls, errors and metrics, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from adapter.encoder import Encoder
from indexer.records import Rows
from service import __version__, errors, exposure, openapi
from service.assignment import Assignment
from service.authentication import Authentication
from service.direct import Direct
from service.engine import Engine
from service.historian import Historian
from service.keyfile import KeyFile
from service.keyring import Keyring
from service.limits import Limits
from service.metrics import Metrics, Part, Watched
from service.middleware import REQUEST_ID_HEADER, Admission, Around
from service.refusals import Refusals
from service.routes import ROUTERS
from service.settings import Settings

PUBLISH_SECONDS = 0.25
CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
    "allow_headers": [
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "X-API-Key",
        REQUEST_ID_HEADER,
    ],
    "expose_headers": ["Retry-After", REQUEST_ID_HEADER],
}


def create_app(
    settings: Settings,
    encoder: Encoder | None = None,
    rows: Future[Rows] | None = None,
    assignment: Assignment | None = None,
) -> FastAPI:
    """The application, loading once its lifespan begins.

    `app.state.engine.started` tells when it can answer; until then calls get a 503.

    Args:
        settings: of the service.
        encoder: to use instead of the one that the settings name.
        rows: of the cache, on their way; see `indexer.preloading`.
        assignment: of a worker; None where this process is the whole service.
    """
    metrics = Metrics(None if assignment is None else assignment.metrics)
    ledger = None if assignment is None else assignment.ledger()
    engine = Engine(settings, metrics, encoder, rows)
    historian = Historian(settings.cache)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine.start()
        async with _publishing(metrics, shared=assignment is not None):
            yield
        if ledger is not None:
            ledger.close()
        await run_in_threadpool(historian.close)
        await run_in_threadpool(engine.close)

    app = FastAPI(
        title=openapi.TITLE,
        version=__version__,
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.engine = engine
    app.state.historian = historian
    app.state.metrics = metrics
    # A page of another site could not read an answer that is not the application's.
    app.state.refusals = None if settings.cors_origins else Refusals(engine.gate, metrics)
    app.state.calls = [call for router in ROUTERS for call in router.routes]
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(Direct, engine=engine)
    app.add_middleware(
        Authentication,
        keyring=Keyring(KeyFile.of(settings), required=exposure.keys_required(settings)),
        limits=Limits(settings, ledger=ledger),
        routes=app.state.calls,
    )
    # The last one is the first that a request comes to.
    app.add_middleware(Admission, gate=engine.gate)
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins, **CORS)
    app.add_middleware(Around, metrics=metrics)
    errors.install(app)
    openapi.install(app)
    metrics.watch(lambda: _watch(engine))
    metrics.watch_parts(lambda: _parts(engine))
    return app


@asynccontextmanager
async def _publishing(metrics: Metrics, *, shared: bool) -> AsyncIterator[None]:
    """Show other workers, where there are any, now and again how this one is doing."""

    async def publish() -> None:
        while True:
            metrics.publish()
            await asyncio.sleep(PUBLISH_SECONDS)

    if not shared:
        yield
        return
    publishing = asyncio.create_task(publish())
    try:
        yield
    finally:
        publishing.cancel()


def _parts(engine: Engine) -> Iterator[Part]:
    gate = engine.gate
    yield Part(Watched("xmadapter_queue_requests", "Requests under way.", gate.requests))
    yield Part(Watched("xmadapter_queue_images", "Images of the requests under way.", gate.images))
    waiting = Watched("xmadapter_queue_seconds", "Expected wait of a request now.", gate.wait)
    yield Part(waiting, "max")
    held = Watched("xmadapter_queue_bytes", "Bytes of all requests, come or coming.", gate.bytes)
    yield Part(held)
    coming = Watched("xmadapter_uploads", "Requests whose body is coming.", len(gate.uploads))
    yield Part(coming)
    yield Part(Watched("xmadapter_ready", "1 once the model is loaded.", engine.ready), "max")
    yield Part(Watched("xmadapter_workers_ready", "Processes that answer.", engine.ready))


def _watch(engine: Engine) -> Iterator[Watched]:
    if engine.ready:
        info = engine.cache.info()
        yield Watched("xmadapter_shots", "Shots in the cache.", info.shots)
        yield Watched("xmadapter_classes", "Classes in the cache.", info.classes)
        yield Watched("xmadapter_cache_version", "Changes of the cache.", info.version)
        yield Watched("xmadapter_cache_bytes", "Size of the cache on disk.", info.bytes)
        yield Watched(
            "xmadapter_adapter_number", "The adapter that serves; 0: none.", info.adapter or 0
        )
        degraded = engine.cache.publications.error is not None
        yield Watched(
            "xmadapter_adapter_degraded", "1 if the published adapter cannot be used.", degraded
        )
        fitted = info.fitted_version or 0
        yield Watched("xmadapter_fitted_version", "The version that was fitted to.", fitted)
