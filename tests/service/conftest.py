"""Services to test with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.service.serving import GREEN, RED, Service, picture, serving


@pytest.fixture(scope="session")
def _reused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("cache")) as made:
        yield made


@pytest.fixture
def service(_reused: Service) -> Service:
    """An empty one. It is emptied, not started anew: its version goes on."""
    for each in _reused.http.get("/classes").json()["classes"]:
        assert _reused.delete_class(each["label"]).status_code == 200
    return _reused


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that knows red and green, two shots each; for tests that change nothing."""
    with serving(tmp_path_factory.mktemp("cache")) as made:
        assert made.teach("red", picture(RED), picture(RED, mark=1)).status_code == 201
        assert made.teach("green", picture(GREEN), picture(GREEN, mark=1)).status_code == 201
        made.settle()
        yield made
