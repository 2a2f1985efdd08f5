"""What a process that can answer tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from service.engine import Engine


class Facts(NamedTuple):
    """Of the model, and of the cache at that moment."""

    model: str
    classes: int
    shots: int


def facts_of(engine: Engine) -> Facts:
    """Those of an engine that is ready."""
    info = engine.cache.info()
    return Facts(info.model, info.classes, info.shots)
