from __future__ import annotations

from typing import NamedTuple

import pytest
from pydantic_core import PydanticUndefined

from service.settings import PREFIX, Settings, load_settings, variable
from tests.docker.compose import BASE, CPU, ROOT, variables

# Compose's own variable: the files that it reads.
FILES = "COMPOSE_FILE"


class Line(NamedTuple):
    """One variable of .env.example; `example`: its value is an example, not the default."""

    name: str
    value: str
    example: bool


def lines() -> list[Line]:
    found = []
    example = False
    for text in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines():
        if text.startswith("# ") or not text:
            example = text.startswith("# Example:") or (example and bool(text))
            continue
        assert text.startswith("#"), f"every variable is off at first, got {text!r}"
        name, value = text.removeprefix("#").split("=", 1)
        found.append(Line(name, value, example))
        example = False
    return found


def default_of(name: str) -> str | None:
    """What holds where the variable is not set: compose's default, or the service's."""
    given = variables(BASE).get(name)
    if given is not None:
        return given
    default = Settings.model_fields[name.removeprefix(PREFIX).lower()].default
    if default is None or default is PydanticUndefined:
        return None
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_lists_the_variables_of_the_compose_files_and_no_others() -> None:
    names = [line.name for line in lines()]
    assert len(names) == len(set(names))
    assert set(names) == set(variables(BASE)) | set(variables(CPU)) | {FILES}


def test_one_line_takes_the_gpu_away_for_good() -> None:
    (files,) = [line.value for line in lines() if line.name == FILES]
    assert [ROOT / file for file in files.split(":")] == [BASE, CPU]


def test_what_starts_with_the_prefix_is_a_setting() -> None:
    known = {variable(name) for name in Settings.model_fields}
    assert {line.name for line in lines() if line.name.startswith(PREFIX)} <= known


@pytest.mark.parametrize(
    "line", [line for line in lines() if not line.example], ids=lambda line: line.name
)
def test_what_is_shown_is_the_default(line: Line) -> None:
    assert line.value == default_of(line.name)


@pytest.mark.parametrize(
    "line", [line for line in lines() if line.example], ids=lambda line: line.name
)
def test_an_example_has_no_default_to_show(line: Line) -> None:
    assert line.name not in variables(BASE) or variables(BASE)[line.name] is None


def test_the_service_takes_every_value(monkeypatch: pytest.MonkeyPatch) -> None:
    for line in lines():
        monkeypatch.setenv(line.name, line.value)
    settings = load_settings()
    shown = {line.name for line in lines() if line.name.startswith(PREFIX)}
    assert {variable(name) for name in settings.model_fields_set} == shown
