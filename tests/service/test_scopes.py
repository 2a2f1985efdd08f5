"""What each call needs, and what each scope is enough for."""

from __future__ import annotations

import pytest

from service.app import create_app
from service.scopes import ORDER, SCOPES, Scope, covers, scope_of
from service.settings import Settings

OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/version")}
CALLS = sorted(
    (method, call.path_format)
    for call in create_app(Settings.model_construct()).state.calls
    for method in call.methods
)


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_every_call_has_a_scope(method: str, path: str) -> None:
    assert (method, path) in SCOPES, "every call needs a row in service/scopes.py"
    needed = scope_of(method, path)
    if (method, path) in OPEN:
        assert needed is None
    elif method == "GET" or path.startswith("/classify"):
        assert needed == "read"
    else:
        assert needed in ("write", "admin")


def test_no_scope_is_for_a_call_that_there_is_not() -> None:
    assert set(SCOPES) == set(CALLS)


def test_a_call_that_is_not_listed_needs_the_highest_scope() -> None:
    assert scope_of("POST", "/cache/everything") == "admin"


@pytest.mark.parametrize(
    ("held", "enough"),
    [
        ([], []),
        (["read"], ["read"]),
        (["write"], ["read", "write"]),
        (["admin"], ["read", "write", "admin"]),
        (["read", "write"], ["read", "write"]),
    ],
)
def test_a_scope_has_all_before_it(held: list[Scope], enough: list[Scope]) -> None:
    assert [needed for needed in ORDER if covers(held, needed)] == enough
