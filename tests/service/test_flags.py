"""Settings as flags."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from service import flags
from service.settings import Settings


def run(names: tuple[str, ...], *arguments: str) -> tuple[int, dict[str, Any], str]:
    seen: dict[str, Any] = {}
    app = typer.Typer(rich_markup_mode="markdown")

    @app.command()
    @flags.settings_flags(names)
    def command(own: str = "x", **given: Any) -> None:
        seen.update(given, own=own)

    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    return result.exit_code, seen, result.output


def test_a_flag_that_is_not_typed_is_none() -> None:
    code, seen, _ = run(("port", "cache"), "--port", "9000")
    assert code == 0
    assert seen == {"own": "x", "port": 9000, "cache": None}


def test_every_setting_is_a_flag_of_its_own_type() -> None:
    typed: list[str] = []
    for name, field in Settings.model_fields.items():
        value = field.get_default(call_default_factory=True)
        if field.annotation is bool:
            typed.append(f"--{name.replace('_', '-')}")
            continue
        typed += [f"--{name.replace('_', '-')}", "1" if value is None else str(value)]
    typed[typed.index("--method") + 1] = "paper"
    typed[typed.index("--cors-origins") + 1] = "https://example.org"
    code, seen, output = run(flags.ALL, *typed)
    assert code == 0, output
    assert seen.keys() == {*Settings.model_fields, "own"}
    assert Settings(**{name: value for name, value in seen.items() if name != "own"})


@pytest.mark.parametrize("typed", [("--port", "x"), ("--precision", "fp8"), ("--prot", "1")])
def test_wrong_ones_are_refused_by_the_command_line(typed: tuple[str, str]) -> None:
    code, _, output = run(("port", "precision"), *typed)
    assert code == 2
    assert typed[0] in output


def test_the_help_has_description_and_default() -> None:
    _, _, output = run(("port", "pretrained"), "--help")
    assert "Port to listen on; 0 takes a free one. [default: 8000]" in output
    assert "laion2b_s34b_b79k" in output
    assert "--own" in output
