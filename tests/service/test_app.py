"""The application as a whole: addresses, methods, ids, documents."""

from __future__ import annotations

import pytest

from tests.service.serving import Service, picture


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/classify/", "/cache/shots/", "/cache/nothing", "/%00", "/..%2f"]
)
def test_an_unknown_address(taught: Service, path: str) -> None:
    detail = taught.problem(taught.http.get(path), 404, "not-found")
    assert "/docs" in detail


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/classify", "POST"),
        ("GET", "/cache/add", "POST"),
        ("POST", "/cache", "GET"),
        ("POST", "/healthz", "GET"),
        ("POST", "/classes/red", "DELETE, GET, PUT"),
    ],
)
def test_an_unknown_method(taught: Service, method: str, path: str, allowed: str) -> None:
    response = taught.http.request(method, path)
    detail = taught.problem(response, 405, "method-not-allowed")
    assert response.headers["Allow"] == allowed
    assert f"{method} {path}" in detail


@pytest.mark.parametrize("given", ["abc-1.2_3~4", "x" * 128, "4f0c2a9b6d1e4c58"])
def test_a_well_formed_request_id_is_echoed(taught: Service, given: str) -> None:
    for path in ("/healthz", "/nothing"):
        response = taught.http.get(path, headers={"X-Request-ID": given})
        assert response.headers["X-Request-ID"] == given
    assert response.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b', "a\tb", "é"])
def test_any_other_request_id_is_replaced(taught: Service, given: str) -> None:
    response = taught.http.get("/healthz", headers=[(b"X-Request-ID", given.encode())])
    assert response.headers["X-Request-ID"] != given
    assert len(response.headers["X-Request-ID"]) == 32


def test_each_request_has_an_id_of_its_own(taught: Service) -> None:
    ids = {taught.http.get("/healthz").headers["X-Request-ID"] for _ in range(3)}
    assert len(ids) == 3


def test_the_server_does_not_say_what_it_is(taught: Service) -> None:
    assert "server" not in taught.http.get("/healthz").headers


def test_the_document_and_its_page_are_served(taught: Service) -> None:
    assert taught.http.get("/openapi.json").json()["info"]["title"] == "XMAdapter"
    page = taught.http.get("/docs")
    assert page.status_code == 200
    assert "swagger" in page.text


def test_answers_are_those_of_the_document(taught: Service) -> None:
    """Statuses, at least; the schemas are what the answers are made with."""
    document = taught.http.get("/openapi.json").json()
    asked = document["paths"]["/classify"]["post"]["responses"]
    for response in (taught.ask(picture()), taught.ask(b""), taught.ask(picture(), top_k=0)):
        assert str(response.status_code) in asked
        kind = response.headers["content-type"]
        assert kind in asked[str(response.status_code)]["content"]
