"""The API's document, and the page made from it.

python -m service.openapi            writes docs/openapi.json and docs/http-api.md
python -m service.openapi --check    says whether they are current
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from service.errors import KINDS, TYPE_PREFIX
from service.inputs import AddBody, BatchBody, ClassBody, ClassifyBody, RollbackBody, ShotPatch
from service.schemas import ProblemDocument
from service.scopes import Scope, scope_of

TITLE = "XMAdapter"
DESCRIPTION = """\
Teach an image classifier with a few labelled images, and ask it: every answer shows its evidence.

- **Images** come as a raw body (`image/jpeg`, `image/png`, `image/webp`: the fast way), as a form
  field `image`, or in JSON as base64. The kind of image goes by its content, not by its name.
- **Labels** are any text of 1 to 256 characters without control characters; in a path they are
  percent-encoded.
- **Errors** are `application/problem+json` (RFC 9457), with a `request_id` that is in the log too;
  send your own as `X-Request-ID` (letters, digits and `._~-`, up to 128).
- **API keys** are asked for where the service has any, and wherever it is reached from other
  machines: `Authorization: Bearer KEY`, or `X-API-Key: KEY`. A key has a scope: `read`, `write`
  (with `read`) or `admin` (everything). `xmadapter keys create NAME` makes one.
- **An answer** reflects every shot that was acknowledged before it.
"""
TAGS = [
    {"name": "classify", "description": "Ask."},
    {"name": "cache", "description": "Teach, and see what has been taught."},
    {"name": "history", "description": "Every version of the cache, and the way back to one."},
    {"name": "shots", "description": "The labelled examples."},
    {"name": "classes", "description": "The classes; one may exist by its name alone."},
    {"name": "adapter", "description": "The trained part of how answers are made."},
    {"name": "status", "description": "For machines that watch over the service."},
]
BODIES = (ClassifyBody, BatchBody, AddBody, ShotPatch, ClassBody, RollbackBody, ProblemDocument)
SECURITY_SCHEMES: dict[str, dict[str, str]] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, as `Authorization: Bearer KEY`.",
    },
    "key-header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key, in a header of its own.",
    },
}
DOCS = Path(__file__).resolve().parent.parent / "docs"
REFRESH = "python -m service.openapi"


def install(app: FastAPI) -> None:
    """Complete the document of `app` with the bodies that it reads itself."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    _, definitions = models_json_schema(
        [(model, "validation") for model in BODIES], ref_template="#/components/schemas/{model}"
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in definitions["$defs"].items():
        schemas.setdefault(name, schema)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            call["security"] = _security(scope_of(method.upper(), path))
    document["x-problem-types"] = [
        {"type": TYPE_PREFIX + name, "status": kind.status, "title": kind.title}
        for name, kind in KINDS.items()
    ]
    return document


def _security(needed: Scope | None) -> list[dict[str, list[str]]]:
    """The ways to be let in; the empty one too, since a service may ask for no keys."""
    if needed is None:
        return []
    ways: list[dict[str, list[str]]] = [{name: [needed]} for name in SECURITY_SCHEMES]
    return [{}, *ways]


def files() -> dict[Path, str]:
    """The checked-in files, as they should be."""
    from service.app import create_app
    from service.markdown import page
    from service.settings import Settings

    document = create_app(Settings.model_construct()).openapi()
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return {DOCS / "openapi.json": text, DOCS / "http-api.md": page(document)}


def stale() -> list[Path]:
    """Those of them that are not."""
    return [
        path
        for path, text in files().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    if arguments == ["--check"]:
        old = [str(path) for path in stale()]
        if old:
            print(f"not current: {', '.join(old)}; run {REFRESH}", file=sys.stderr)
        return bool(old)
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
