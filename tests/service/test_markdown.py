"""From the document to a page."""

from __future__ import annotations

from typing import Any

import pytest

from service.markdown import example, page

DOCUMENT: dict[str, Any] = {
    "info": {"description": "What it is.\n"},
    "tags": [{"name": "things", "description": "All things."}],
    "paths": {
        "/things/{name}": {
            "put": {
                "tags": ["things"],
                "summary": "Make a thing",
                "security": [{}, {"key": ["write"]}, {"key-header": ["write"]}],
                "description": "Makes it.",
                "parameters": [
                    {
                        "name": "size",
                        "in": "query",
                        "description": "How large.",
                        "schema": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
                    },
                    {
                        "name": "key",
                        "in": "header",
                        "schema": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    },
                ],
                "requestBody": {
                    "content": {
                        "multipart/form-data": {
                            "schema": {
                                "properties": {
                                    "label": {"type": "string"},
                                    "image": {"type": "array", "maxItems": 4},
                                }
                            }
                        },
                        "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}},
                    }
                },
                "responses": {
                    "200": {
                        "description": "Made.",
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}
                        },
                    },
                    "404": {
                        "description": "Not there.",
                        "content": {"application/problem+json": {}},
                    },
                },
            }
        }
    },
    "x-problem-types": [{"type": "urn:x:none", "status": 404, "title": "None"}],
    "components": {
        "schemas": {
            "Thing": {
                "type": "object",
                "properties": {"name": {"type": "string", "examples": ["box"]}},
            },
            "ProblemDocument": {"type": "object"},
        }
    },
}


def test_a_page_has_each_call_with_all_that_belongs_to_it() -> None:
    text = page(DOCUMENT)
    for expected in (
        "What it is.",
        "| `PUT /things/{name}` | Make a thing |",
        "## things\n\nAll things.",
        "### PUT /things/{name}\n\nMakes it.",
        "API key, where one is asked for: `write`.",
        "| `size` | query | integer, 1 to 9, default 3 | How large. |",
        "| `key` | header | string |  |",
        "Form fields: `label`, `image` (up to 4 times).",
        '```json\n{"name": "box"}\n```',
        "200, `application/json`: Made.",
        "Errors: 404.",
        "| 404 | `urn:x:none` | None |",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 0),
        ({"type": "boolean", "default": True}, True),
        ({"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "null"}]}, [0.0]),
        ({"type": "null"}, None),
        ({"type": "string"}, ""),
        ({"$ref": "#/components/schemas/Thing"}, {"name": "box"}),
    ],
)
def test_an_example_is_made_where_there_is_none(schema: dict[str, Any], value: Any) -> None:
    assert example(schema, DOCUMENT) == value
