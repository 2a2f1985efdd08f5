"""Every error the service answers with, as RFC 9457 problem documents.

A `Problem` may be raised anywhere under a request; `KINDS` has one row for each sort, and its
`type` is "urn:xmadapter:problem:KIND". What the lower floors raise becomes one in `as_problem`,
in this one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from adapter.images import (
    EmptyImage,
    ImageError,
    ImageTooLarge,
    UndecodableImage,
    UnsupportedImage,
)
from indexer.errors import (
    CacheBusy,
    CacheDamaged,
    CacheError,
    CacheFull,
    CacheUnwritable,
    ClassFull,
    CursorError,
    EmptyCache,
    FeatureError,
    IdempotencyConflict,
    LabelConflict,
    LabelError,
    PromptError,
    UnknownClass,
    UnknownShot,
    UnknownVersion,
)

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "urn:xmadapter:problem:"
SHOWN_INPUT = 80


class Kind(NamedTuple):
    """One sort of problem."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "malformed": Kind(400, "The request cannot be read"),
    "empty-image": Kind(400, "The image is empty"),
    "unauthenticated": Kind(401, "There is no valid API key"),
    "forbidden": Kind(403, "The API key may not do this"),
    "not-found": Kind(404, "There is nothing at this address"),
    "unknown-shot": Kind(404, "There is no such shot"),
    "unknown-class": Kind(404, "There is no such class"),
    "unknown-version": Kind(404, "There is no such version"),
    "no-thumbnail": Kind(404, "The shot has no image"),
    "method-not-allowed": Kind(405, "This address does not take this method"),
    "slow-upload": Kind(408, "The request took too long to arrive"),
    "label-conflict": Kind(409, "The image is known under another label"),
    "request-in-progress": Kind(409, "A request with this idempotency key is under way"),
    "class-full": Kind(409, "The class may have no more shots"),
    "no-classes": Kind(409, "There is no class yet"),
    "body-too-large": Kind(413, "The request is too large"),
    "image-too-large": Kind(413, "The image is too large"),
    "unsupported-content-type": Kind(415, "This content type is not taken here"),
    "unsupported-image": Kind(415, "This kind of image is not taken"),
    "undecodable-image": Kind(422, "The image cannot be decoded"),
    "key-reused": Kind(422, "The idempotency key was used for another request"),
    "invalid": Kind(422, "A value is out of range or unknown"),
    "rate-limited": Kind(429, "The API key is over its limit"),
    "headers-too-large": Kind(431, "The request's headers are too large"),
    "internal": Kind(500, "The service failed"),
    "overloaded": Kind(503, "The service is full"),
    "not-ready": Kind(503, "The service is not ready"),
    "timeout": Kind(503, "The service did not answer in time"),
    "unwritable": Kind(503, "The cache cannot be written"),
    "damaged": Kind(503, "The cache is damaged"),
    "keys-unreadable": Kind(503, "The API keys cannot be read"),
    "disk-full": Kind(507, "The disk is full"),
}

NO_CLASSES = (
    "there is no class to choose from yet: teach one with POST /cache/add (a label and images), "
    "or name one with PUT /classes/{label}"
)
INTERNAL = "an unexpected error, which is not your request's fault; the log has it by request_id"


class Problem(Exception):  # noqa: N818 (the name that RFC 9457 gives it)
    """An answer that is not a success.

    Attributes:
        kind: a key of `KINDS`; gives status and title.
        detail: what was expected, what came and what to do, for a person.
        extra: further members of the problem document.
        headers: of the response (`Retry-After`, `Allow`).
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        """The HTTP status code."""
        return KINDS[self.kind].status

    def document(self, request_id: str) -> dict[str, Any]:
        """The members of the problem document."""
        return {
            "type": TYPE_PREFIX + self.kind,
            "title": KINDS[self.kind].title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            **self.extra,
        }

    def response(self, request_id: str) -> JSONResponse:
        """The problem as an HTTP response."""
        document = self.document(request_id)
        return JSONResponse(document, self.status, self.headers, media_type=PROBLEM_JSON)


def busy(kind: str, detail: str, retry_after: int = 1) -> Problem:
    """A 503 that says when to come back, in seconds."""
    return Problem(kind, detail, headers={"Retry-After": str(retry_after)})


def shown(value: object) -> str:
    """What came, cut to a length that an error message can hold."""
    text = repr(value)
    return text if len(text) <= SHOWN_INPUT else f"{text[:SHOWN_INPUT]}... ({len(text)} characters)"


def validation_problem(errors: Iterable[Mapping[str, Any]], where: str) -> Problem:
    """One problem for everything that pydantic found wrong; `where` names what was checked."""
    details = [_describe(error, where) for error in errors]
    first = details[0]
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return Problem("invalid", first + more, extra={"errors": details[:20]})


def _describe(error: Mapping[str, Any], where: str) -> str:
    name = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).replace("Input should be", "expected").replace("Field", "it is")
    if error["type"] == "missing":
        return f"{where} {name}: it is required, and was not given"
    if error["type"] == "unknown":
        return f"{where} {message}"
    return f"{where} {name}: {message}, got {shown(error['input'])}"


_IMAGE_KINDS: Mapping[type[ImageError], str] = {
    EmptyImage: "empty-image",
    UnsupportedImage: "unsupported-image",
    ImageTooLarge: "image-too-large",
    UndecodableImage: "undecodable-image",
}
_CACHE_KINDS: Mapping[type[CacheError], str] = {
    UnknownShot: "unknown-shot",
    UnknownClass: "unknown-class",
    ClassFull: "class-full",
    CacheDamaged: "damaged",
    LabelConflict: "label-conflict",
    IdempotencyConflict: "key-reused",
    LabelError: "invalid",
    PromptError: "invalid",
    FeatureError: "invalid",
    CursorError: "invalid",
}


def as_problem(error: Exception) -> Problem | None:
    """The answer for what a lower floor raised; None when it is the service's own failure."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, EmptyCache):
        return Problem("no-classes", NO_CLASSES)
    if isinstance(error, CacheFull):
        return Problem("disk-full", f"{error}: nothing was changed, make room and try again")
    if isinstance(error, CacheUnwritable | CacheBusy):
        return busy("unwritable", f"{error}: nothing was changed", retry_after=10)
    if isinstance(error, LabelConflict):
        detail = f"{error} (?relabel=true)"
        return Problem(
            "label-conflict", detail, extra={"shot_id": error.shot_id, "label": error.label}
        )
    if isinstance(error, UnknownClass):
        return Problem("unknown-class", str(error), extra={"suggestions": error.suggestions})
    if isinstance(error, UnknownVersion):
        bounds = {"oldest": error.oldest, "newest": error.newest}
        return Problem("unknown-version", str(error), extra=bounds)
    kinds: Mapping[type[Any], str] = {**_IMAGE_KINDS, **_CACHE_KINDS}
    kind = kinds.get(type(error))
    return Problem(kind, str(error)) if kind else None


def install(app: FastAPI) -> None:
    """Make every error of `app` that has a known cause a problem document."""

    async def known(request: Request, error: Exception) -> JSONResponse:
        problem = as_problem(error)
        if problem is None:
            raise error
        return problem.response(request.state.request_id)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        problem = _parameter_problem(error)
        return problem.response(request.state.request_id)

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return _http_problem(request, error).response(request.state.request_id)

    for kind in (Problem, ImageError, CacheError):
        app.add_exception_handler(kind, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def _parameter_problem(error: RequestValidationError) -> Problem:
    stripped = [{**entry, "loc": entry["loc"][1:]} for entry in error.errors()]
    place = str(error.errors()[0]["loc"][0])
    return validation_problem(stripped, f"{place} parameter")


def _http_problem(request: Request, error: HTTPException) -> Problem:
    where = f"{request.method} {request.url.path}"
    if error.status_code == 404:
        return Problem("not-found", f"{shown(where)}: the calls are listed at /docs")
    if error.status_code == 405:
        allowed = _allowed(request) or (error.headers or {}).get("Allow", "")
        detail = f"{shown(where)}: expected {allowed}"
        return Problem("method-not-allowed", detail, headers={"Allow": allowed})
    return Problem("malformed", str(error.detail))


def _allowed(request: Request) -> str:
    """All methods of the address; the framework names those of the first call that it finds."""
    calls: Iterable[APIRoute] = request.app.state.calls
    path = request.scope["path"]
    found = [call.methods or () for call in calls if call.path_regex.match(path)]
    return ", ".join(sorted({method for methods in found for method in methods}))
