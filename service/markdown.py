"""The API's document as a page to read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

INTRODUCTION = """\
<!-- Made from openapi.json by `python -m service.openapi`: change the calls, not this page. -->
# HTTP API

{description}
The service itself shows all this at `/docs`, to try out, and as `/openapi.json`.
"""


def page(document: Schema) -> str:
    """Markdown for an OpenAPI document."""
    parts = [INTRODUCTION.format(description=document["info"]["description"])]
    parts.append(_overview(document))
    for tag in document["tags"]:
        parts.append(f"## {tag['name']}\n\n{tag['description']}\n")
        parts += [
            _call(method, path, call, document)
            for method, path, call in _calls(document)
            if tag["name"] in call["tags"]
        ]
    parts.append(_problems(document))
    return "\n".join(parts)


def _calls(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            yield method.upper(), path, call


def _overview(document: Schema) -> str:
    rows = [f"| `{method} {path}` | {call['summary']} |" for method, path, call in _calls(document)]
    return "\n".join(["| call | what |", "|---|---|", *rows, ""])


def _call(method: str, path: str, call: Schema, document: Schema) -> str:
    parts = [f"### {method} {path}\n", call.get("description", call["summary"]) + "\n"]
    parts += _scope(call)
    parts += _parameters(call)
    parts += _body(call, document)
    parts += _answers(call, document)
    return "\n".join(parts)


def _scope(call: Schema) -> list[str]:
    scopes = {
        scope for way in call.get("security", []) for needed in way.values() for scope in needed
    }
    return [f"API key, where one is asked for: `{scope}`.\n" for scope in sorted(scopes)]


def _parameters(call: Schema) -> list[str]:
    rows = [
        f"| `{parameter['name']}` | {parameter['in']} | {_type(parameter['schema'])} "
        f"| {parameter.get('description', '')} |"
        for parameter in call.get("parameters", [])
    ]
    if not rows:
        return []
    return ["| parameter | in | value | |", "|---|---|---|---|", *rows, ""]


def _type(schema: Schema) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"] if each.get("type") != "null")
    low, high = schema.get("minimum"), schema.get("maximum")
    text = str(schema.get("type", ""))
    if low is not None and high is not None:
        text += f", {low} to {high}"
    if schema.get("default") is not None:
        text += f", default {json.dumps(schema['default'])}"
    return text


def _body(call: Schema, document: Schema) -> list[str]:
    content = call.get("requestBody", {}).get("content", {})
    if not content:
        return []
    parts = ["Body: " + ", ".join(f"`{kind}`" for kind in content) + ".\n"]
    for kind, media in content.items():
        if kind == "multipart/form-data":
            fields = ", ".join(_field(*item) for item in media["schema"]["properties"].items())
            parts.append(f"Form fields: {fields}.\n")
        elif kind == "application/json":
            shown = json.dumps(example(media["schema"], document), ensure_ascii=False)
            parts.append(f"```json\n{shown}\n```\n")
    return parts


def _field(name: str, schema: Schema) -> str:
    if schema["type"] != "array":
        return f"`{name}`"
    return f"`{name}` (up to {schema['maxItems']} times)"


def _answers(call: Schema, document: Schema) -> list[str]:
    parts: list[str] = []
    errors: list[str] = []
    for status, answer in call["responses"].items():
        content = answer.get("content", {})
        if "application/problem+json" in content:
            errors.append(status)
            continue
        kinds = ", ".join(f"`{kind}`" for kind in content)
        parts.append(f"{status}, {kinds}: {answer['description']}\n")
        if "application/json" in content and not any("```" in part for part in parts):
            value = example(content["application/json"]["schema"], document)
            parts.append(f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```\n")
    return [*parts, f"Errors: {', '.join(errors)}.\n"] if errors else parts


def _problems(document: Schema) -> str:
    rows = [
        f"| {kind['status']} | `{kind['type']}` | {kind['title']} |"
        for kind in document["x-problem-types"]
    ]
    shown = json.dumps(
        example({"$ref": "#/components/schemas/ProblemDocument"}, document), indent=2
    )
    return "\n".join(
        [
            "## Errors\n",
            f"```json\n{shown}\n```\n",
            "| status | type | title |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def example(schema: Schema, document: Schema) -> Any:
    """A value that a schema allows, from the examples in it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return example(document["components"]["schemas"][name], document)
    if schema.get("examples"):
        return schema["examples"][0]
    if "default" in schema:
        return schema["default"]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return example(schema[several][0], document)
    if schema.get("type") == "object":
        return {
            name: example(value, document) for name, value in schema.get("properties", {}).items()
        }
    if schema.get("type") == "array":
        return [example(schema["items"], document)]
    return {"integer": 0, "number": 0.0, "boolean": False, "null": None}.get(
        schema.get("type", ""), ""
    )
