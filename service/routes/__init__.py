"""The calls, by noun."""

from __future__ import annotations

from fastapi import APIRouter

from service.routes import adapter, cache, classes, classify, history, shots, status

ROUTERS: tuple[APIRouter, ...] = (
    classify.router,
    cache.router,
    history.router,
    shots.router,
    classes.router,
    adapter.router,
    status.router,
)
