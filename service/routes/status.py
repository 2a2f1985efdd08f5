"""Is it alive, is it ready, what is it, how is it doing."""

from __future__ import annotations

import platform

import torch
from fastapi import APIRouter, Request, Response

from service import __version__
from service.engine import Engine
from service.hints import notice
from service.metrics import Metrics
from service.routes.context import ReadyEngine, problems, refusals
from service.schemas import Health, Version

router = APIRouter(tags=["status"])


@router.get("/healthz", summary="Alive", response_description="It is.")
async def healthz() -> Health:
    """The process answers. It says nothing about the model: see /readyz."""
    return Health(status="ok")


@router.get(
    "/readyz", summary="Ready", response_description="It is.", responses={503: problems()[503]}
)
async def readyz(engine: ReadyEngine) -> Health:
    """The model is loaded and warm, and the cache is open.

    Also with 200, `degraded`: it answers, but with an earlier adapter than the one that was
    published last, since that one cannot be used; `GET /adapter` says why.
    """
    return Health(status="ok" if engine.cache.publications.error is None else "degraded")


@router.get("/version", summary="What is running", response_description="This.")
async def version(request: Request) -> Version:
    """The versions of the parts, and the model that serves."""
    engine: Engine = request.app.state.engine
    model = engine.cache.encoder.name if engine.ready else None
    # Until it is loaded, the one that was asked for.
    about = notice(model or engine.settings.model)
    return Version(
        version=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        model=model,
        notice=about,
    )


@router.get(
    "/metrics",
    summary="For Prometheus",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {}}, "description": "Prometheus's text format."},
        **refusals(),
    },
)
def metrics(request: Request) -> Response:
    """Requests, latencies, batches, the queue, the cache."""
    numbers: Metrics = request.app.state.metrics
    return Response(numbers.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
