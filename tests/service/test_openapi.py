"""The document is complete, and what is checked in is current."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from service import openapi
from service.app import create_app
from service.markdown import example
from service.settings import Settings


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings.model_construct()).openapi()


def calls(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, call)
        for path, methods in document["paths"].items()
        for method, call in methods.items()
    ]


def test_the_checked_in_files_are_current() -> None:
    old = [path.name for path in openapi.stale()]
    assert not old, f"{', '.join(old)} is not current: run `{openapi.REFRESH}`"


def test_a_stale_file_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openapi, "DOCS", openapi.DOCS / "nowhere")
        assert openapi.main(["--check"]) == 1
    assert openapi.REFRESH in capsys.readouterr().err
    assert openapi.main(["--check"]) == 0


def test_the_files_are_written(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("docs") / "new"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openapi, "DOCS", folder)
        assert openapi.main([]) == 0
        assert openapi.stale() == []
        (folder / "http-api.md").write_text("old", encoding="utf-8")
        assert openapi.stale() == [folder / "http-api.md"]


def test_the_contracts_calls_are_there(document: dict[str, Any]) -> None:
    assert {(method, path) for method, path, _ in calls(document)} == {
        ("POST", "/classify"),
        ("POST", "/classify/batch"),
        ("POST", "/cache/add"),
        ("GET", "/cache"),
        ("GET", "/cache/versions"),
        ("GET", "/cache/diff"),
        ("POST", "/cache/rollback"),
        ("GET", "/cache/shots"),
        ("GET", "/cache/shots/{shot_id}"),
        ("PATCH", "/cache/shots/{shot_id}"),
        ("DELETE", "/cache/shots/{shot_id}"),
        ("GET", "/cache/shots/{shot_id}/image"),
        ("GET", "/classes"),
        ("GET", "/classes/{label}"),
        ("PUT", "/classes/{label}"),
        ("DELETE", "/classes/{label}"),
        ("GET", "/adapter"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/version"),
        ("GET", "/metrics"),
    }


def test_every_error_is_a_problem_and_no_other_schema_is_left(document: dict[str, Any]) -> None:
    for method, path, call in calls(document):
        for status, answer in call["responses"].items():
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], (method, path)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    names = document["components"]["schemas"]

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                assert value["$ref"].rpartition("/")[2] in names
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    walk(document)


def test_every_example_is_what_its_schema_says(document: dict[str, Any]) -> None:
    for name in document["components"]["schemas"]:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        Draft202012Validator(schema).validate(example(schema, document))


def test_every_call_and_parameter_is_described(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for method, path, call in calls(document):
        assert call["summary"], (method, path)
        assert call["description"], (method, path)
        assert set(call["tags"]) <= tags
        for parameter in call.get("parameters", []):
            assert parameter.get("description"), (method, path, parameter["name"])


def test_bodies_that_are_read_by_hand_are_in_it(document: dict[str, Any]) -> None:
    content = document["paths"]["/classify"]["post"]["requestBody"]["content"]
    assert list(content) == [
        "multipart/form-data",
        "image/jpeg",
        "image/png",
        "image/webp",
        "application/json",
    ]
    for path, method in (("/cache/add", "post"), ("/classes/{label}", "put")):
        assert "application/json" in document["paths"][path][method]["requestBody"]["content"]
