"""What a key may do: three scopes, each with all of the one before, and the one each call needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

Scope = Literal["read", "write", "admin"]

ORDER: tuple[Scope, ...] = ("read", "write", "admin")
OPEN_PAGES = frozenset({"/docs", "/openapi.json"})

SCOPES: Mapping[tuple[str, str], Scope | None] = {
    ("POST", "/classify"): "read",
    ("POST", "/classify/batch"): "read",
    ("POST", "/cache/add"): "write",
    ("GET", "/cache"): "read",
    ("GET", "/cache/versions"): "read",
    ("GET", "/cache/diff"): "read",
    ("POST", "/cache/rollback"): "admin",
    ("GET", "/cache/shots"): "read",
    ("GET", "/cache/shots/{shot_id}"): "read",
    ("GET", "/cache/shots/{shot_id}/image"): "read",
    ("PATCH", "/cache/shots/{shot_id}"): "write",
    ("DELETE", "/cache/shots/{shot_id}"): "write",
    ("GET", "/classes"): "read",
    ("GET", "/classes/{label}"): "read",
    ("PUT", "/classes/{label}"): "write",
    ("DELETE", "/classes/{label}"): "write",
    ("GET", "/adapter"): "read",
    ("GET", "/metrics"): "read",
    # Probes and the document's version come before any key is at hand.
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/version"): None,
}
"""For each call, by method and path: the scope that it needs; None: open to everybody."""


def scope_of(method: str, path: str) -> Scope | None:
    """What a call needs, by the path of its route; None: no key at all.

    A call that `SCOPES` does not list needs the highest scope, so that one left out is closed.
    """
    return SCOPES.get((method, path), ORDER[-1])


def covers(held: Iterable[Scope], needed: Scope) -> bool:
    """Whether scopes are enough: `write` includes `read`, and `admin` both."""
    return any(ORDER.index(each) >= ORDER.index(needed) for each in held)
