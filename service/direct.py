"""One image as a raw body to its answer, without the framework between them.

Routing, dependencies, validation and response models would cost more than all else that the
service does for a request beside the image itself. Only what is plainly in order goes this way;
everything else goes the framework's, and is answered or refused there.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from service.bodies import IMAGE_TYPES
from service.engine import Engine
from service.errors import as_problem
from service.headers import Headers
from service.inputs import ClassifyQuery
from service.routes.classify import PATH, classified
from service.routes.context import reader_of

_RAW = frozenset(kind.encode() for kind in IMAGE_TYPES)
_JSON = (b"content-type", b"application/json")
# Callers ask the same way again and again; what one makes up must not fill the memory.
_QUERIES = 1_000
_LONGEST_QUERY = 200


class Direct:
    """Answers `POST /classify` with a raw body, as plain ASGI; passes all else on.

    Args:
        app: the framework, which has this call too.
        engine: of the service.
    """

    def __init__(self, app: ASGIApp, engine: Engine) -> None:
        self._app = app
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        query = self._query(scope)
        if query is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            reader = reader_of(request, self._engine)
            image = await reader.content(reader.max_image, "image-too-large")
            answer = await classified(request, self._engine, image, query)
        except Exception as error:
            problem = as_problem(error)
            if problem is None:
                raise
            await problem.response(scope["state"]["request_id"])(scope, receive, send)
            return
        headers: Headers = [_JSON, (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _query(self, scope: Scope) -> ClassifyQuery | None:
        """The parameters of a request that can be answered here."""
        ours = scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST"
        if not ours or not self._engine.ready or not _is_image(scope["headers"]):
            return None
        text: bytes = scope["query_string"]
        return _parsed(text) if len(text) <= _LONGEST_QUERY else None


def _is_image(headers: Headers) -> bool:
    for name, value in headers:
        if name == b"content-type":
            return value.partition(b";")[0].strip().lower() in _RAW
    return False


@lru_cache(_QUERIES)
def _parsed(text: bytes) -> ClassifyQuery | None:
    """A query string's parameters; None where there is anything to say about them."""
    pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True)
    given = dict(pairs)
    if len(given) < len(pairs):
        return None
    try:
        return ClassifyQuery.model_validate(given)
    except ValidationError:
        return None
