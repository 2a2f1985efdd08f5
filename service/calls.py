"""The service's calls as values: what to send, and how to read the answer.

`service.client` sends them, with or without asyncio; each call is written here once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from service.history_schemas import DiffPage, RolledBack, VersionPage
from service.schemas import (
    AdapterState,
    Added,
    BatchClassification,
    CacheState,
    ClassChanged,
    ClassDeleted,
    Classification,
    ClassInfo,
    ClassPage,
    Health,
    Shot,
    ShotChanged,
    ShotDeleted,
    ShotPage,
    Version,
)

ImageSource = bytes | str | PathLike[str]
"""An image file's bytes, or its path."""

Answer = TypeVar("Answer")
Model = TypeVar("Model", bound=BaseModel)

_SIGNATURES = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG", "image/png"), (b"GIF8", "image/gif"))


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One request and the reading of its answer."""

    method: str
    path: str
    read: Callable[[httpx.Response], Answer]
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    json: Any = None
    data: Mapping[str, Any] | None = None
    files: Sequence[tuple[str, tuple[str, bytes]]] | None = None


def classify(
    image: ImageSource | None,
    embedding: Sequence[float] | None,
    top_k: int,
    explain: int,
    min_confidence: float,
) -> Call[Classification]:
    """POST /classify, the image as a raw body."""
    params = {"top_k": top_k, "explain": explain, "min_confidence": min_confidence}
    if (image is None) == (embedding is None):
        raise TypeError("classify: expected either an image or an embedding")
    if image is None:
        json = {"embedding": [float(value) for value in embedding or ()]}
        return Call("POST", "/classify", _as(Classification), params=params, json=json)
    content = read_image(image)
    headers = {"Content-Type": content_type(content)}
    return Call(
        "POST", "/classify", _as(Classification), params=params, headers=headers, content=content
    )


def classify_batch(
    images: Sequence[ImageSource], top_k: int, explain: int, min_confidence: float
) -> Call[BatchClassification]:
    """POST /classify/batch as a form."""
    return Call(
        "POST",
        "/classify/batch",
        _as(BatchClassification),
        params={"top_k": top_k, "explain": explain, "min_confidence": min_confidence},
        files=_files(images),
    )


def add(
    label: str,
    images: Sequence[ImageSource],
    captions: Sequence[str | None] | None,
    relabel: bool,
    idempotency_key: str | None,
) -> Call[Added]:
    """POST /cache/add as a form."""
    return Call(
        "POST",
        "/cache/add",
        _as(Added),
        params={"relabel": "true"} if relabel else {},
        headers={"Idempotency-Key": idempotency_key} if idempotency_key else {},
        data={"label": label, "caption": [caption or "" for caption in captions or ()]},
        files=_files(images),
    )


def cache() -> Call[CacheState]:
    """GET /cache."""
    return Call("GET", "/cache", _as(CacheState))


def adapter() -> Call[AdapterState]:
    """GET /adapter."""
    return Call("GET", "/adapter", _as(AdapterState))


def versions(limit: int, cursor: str | None) -> Call[VersionPage]:
    """GET /cache/versions, one page."""
    params = _given(limit=limit, cursor=cursor)
    return Call("GET", "/cache/versions", _as(VersionPage), params=params)


def diff(before: int, after: int, limit: int, cursor: str | None) -> Call[DiffPage]:
    """GET /cache/diff, one page."""
    params = {"from": before, "to": after, **_given(limit=limit, cursor=cursor)}
    return Call("GET", "/cache/diff", _as(DiffPage), params=params)


def rollback(version: int) -> Call[RolledBack]:
    """POST /cache/rollback."""
    return Call("POST", "/cache/rollback", _as(RolledBack), json={"version": version})


def shots(label: str | None, limit: int, cursor: str | None) -> Call[ShotPage]:
    """GET /cache/shots, one page."""
    params = _given(label=label, limit=limit, cursor=cursor)
    return Call("GET", "/cache/shots", _as(ShotPage), params=params)


def shot(shot_id: str) -> Call[Shot]:
    """GET /cache/shots/{shot_id}."""
    return Call("GET", f"/cache/shots/{_segment(shot_id)}", _as(Shot))


def relabel(shot_id: str, label: str) -> Call[ShotChanged]:
    """PATCH /cache/shots/{shot_id}."""
    path = f"/cache/shots/{_segment(shot_id)}"
    return Call("PATCH", path, _as(ShotChanged), json={"label": label})


def forget(shot_id: str) -> Call[ShotDeleted]:
    """DELETE /cache/shots/{shot_id}."""
    return Call("DELETE", f"/cache/shots/{_segment(shot_id)}", _as(ShotDeleted))


def thumbnail(shot_id: str) -> Call[bytes]:
    """GET /cache/shots/{shot_id}/image."""
    return Call("GET", f"/cache/shots/{_segment(shot_id)}/image", lambda answer: answer.content)


def classes(limit: int, cursor: str | None) -> Call[ClassPage]:
    """GET /classes, one page."""
    return Call("GET", "/classes", _as(ClassPage), params=_given(limit=limit, cursor=cursor))


def class_info(label: str) -> Call[ClassInfo]:
    """GET /classes/{label}."""
    return Call("GET", f"/classes/{_segment(label)}", _as(ClassInfo))


def put_class(label: str, prompts: Sequence[str] | None) -> Call[ClassChanged]:
    """PUT /classes/{label}."""
    json = {"prompts": None if prompts is None else list(prompts)}
    return Call("PUT", f"/classes/{_segment(label)}", _as(ClassChanged), json=json)


def delete_class(label: str) -> Call[ClassDeleted]:
    """DELETE /classes/{label}."""
    return Call("DELETE", f"/classes/{_segment(label)}", _as(ClassDeleted))


def ready() -> Call[Health]:
    """GET /readyz."""
    return Call("GET", "/readyz", _as(Health))


def version() -> Call[Version]:
    """GET /version."""
    return Call("GET", "/version", _as(Version))


def read_image(image: ImageSource) -> bytes:
    """The image file's bytes.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    return image if isinstance(image, bytes) else Path(image).read_bytes()


def content_type(data: bytes) -> str:
    """The content type, by the first bytes; what is unknown is left for the service to judge."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _SIGNATURES if data.startswith(start)), "image/jpeg")


def _as(model: type[Model]) -> Callable[[httpx.Response], Model]:
    return lambda answer: model.model_validate_json(answer.content)


def _files(images: Sequence[ImageSource]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("image", (f"image{row}", read_image(image))) for row, image in enumerate(images)]


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _segment(text: str) -> str:
    # The dot too: clients resolve a segment of "." or ".." away.
    return quote(text, safe="").replace(".", "%2E")
