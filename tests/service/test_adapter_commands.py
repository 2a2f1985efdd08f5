"""`xmadapter adapter`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from indexer.adapters import Adapters
from indexer.cache import Cache
from service.cli import app
from service.ending import FAILED, IN_PART, WRONG_USAGE
from tests.service.adapters import ENCODER, publish, spoil


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    Cache.open(tmp_path, ENCODER).close()
    return tmp_path


def run(*arguments: object) -> Result:
    command = ["adapter", *map(str, arguments)]
    return CliRunner().invoke(app, command, env={"COLUMNS": "200"})


def test_a_list_for_people(cache: Path) -> None:
    publish(cache)
    publish(cache, published=False, accuracy=0.5)
    result = run("list", cache)
    assert result.exit_code == 0
    _, first, second = (line.split() for line in result.stdout.splitlines())
    assert (first[0], first[2:]) == ("1", ["full", "75.0%", "yes", "yes"])
    assert (second[0], second[2:]) == ("2", ["full", "50.0%", "no"])


def test_a_list_for_programs(cache: Path) -> None:
    publish(cache)
    result = run("list", cache, "--json")
    found = json.loads(result.stdout)
    assert (found["number"], found["serves"], found["error"]) == (1, True, None)


def test_untrained_networks_are_said_to_serve(cache: Path) -> None:
    assert run("list", cache).stdout == "Untrained networks are to serve.\n"
    publish(cache, published=False)
    assert run("list", cache).stdout.endswith("Untrained networks are to serve.\n")


def test_damage_is_listed_and_told_once(cache: Path) -> None:
    publish(cache)
    publish(cache)
    Adapters(cache).paths(2)[1].write_text("{}")
    result = run("list", cache)
    assert result.exit_code == IN_PART
    assert result.stdout.splitlines()[2].split() == ["2", "?", "?", "?", "?", "unusable"]
    assert result.stderr.count("0002.json is damaged") == 1
    spoil(cache, 1)
    (Adapters(cache).folder / "current").write_text("2")
    result = run("list", cache)
    assert result.exit_code == IN_PART
    assert "Untrained" not in result.stdout
    for name in ("current", "0001.safetensors", "0002.json"):
        assert f"{name} is damaged" in result.stderr


@pytest.mark.parametrize("name", ["0", "none"])
def test_one_is_used_and_none(cache: Path, name: str) -> None:
    for _ in range(2):
        publish(cache)
    assert run("use", 1, cache).stdout == "Adapter 1 is to serve.\n"
    assert Adapters(cache).current == 1
    assert run("use", name, cache).stdout == "Untrained networks are to serve.\n"
    assert Adapters(cache).current is None


@pytest.mark.parametrize("name", ["all", "-1", "1.5", "9" * 30, "²"])
def test_what_is_no_number_is_told(cache: Path, name: str) -> None:
    result = run("use", "--", name, cache)
    assert result.exit_code == WRONG_USAGE
    assert f"expected the number of an adapter, or none for untrained networks, got {name!r}" in (
        result.stderr
    )


def test_what_cannot_be_done_is_told(cache: Path, tmp_path: Path) -> None:
    result = run("use", 7, cache)
    assert result.exit_code == FAILED
    assert "cannot read adapter 7" in result.stderr
    for command in (("list",), ("use", "none")):
        missing = run(*command, tmp_path / "none")
        assert missing.exit_code == FAILED
        assert "no cache at" in missing.stderr
