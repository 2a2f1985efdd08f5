"""Compose files as Compose itself sees them: interpolated, merged, as a container gets them.

Only the rules that this project's files use; anything else raises, so that a file cannot use a
rule that the tests would silently read in another way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "docker-compose.yml"
CPU = ROOT / "docker" / "compose.cpu.yml"
SERVICE = "xmadapter"

# These do not merge as other lists do: by a key of their own, or replaced as a whole.
MERGED_OTHERWISE = {"ports", "volumes", "secrets", "configs", "command", "entrypoint", "test"}
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^${}]*))?\}")


@dataclass(frozen=True)
class Reset:
    """What `!reset VALUE` stands for: the key is taken out; VALUE only satisfies the schema."""

    value: Any


class _Loader(yaml.SafeLoader):
    """YAML with Compose's own tag."""


def _reset(loader: _Loader, node: yaml.Node) -> Reset:
    assert isinstance(node, yaml.SequenceNode), "only lists are reset in these files"
    return Reset(loader.construct_sequence(node))


_Loader.add_constructor("!reset", _reset)


def load(path: Path) -> Any:
    """A compose file's tree, with `Reset` where it has the tag."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)


def without_tags(tree: Any) -> Any:
    """The tree as the schema is meant to see it: each `Reset` is its value."""
    if isinstance(tree, Reset):
        return tree.value
    if isinstance(tree, dict):
        return {key: without_tags(value) for key, value in tree.items()}
    return [without_tags(item) for item in tree] if isinstance(tree, list) else tree


def merge(base: Any, override: Any) -> Any:
    """Compose's merge: mappings by key, lists by appending, anything else by replacing."""
    if isinstance(base, dict) and isinstance(override, dict):
        return {
            key: _merge_key(key, base, override)
            for key in [*base, *(key for key in override if key not in base)]
            if not isinstance(override.get(key), Reset)
        }
    if isinstance(base, list) and isinstance(override, list):
        return base + override
    return override


def _merge_key(key: str, base: dict[str, Any], override: dict[str, Any]) -> Any:
    if key not in override:
        return base[key]
    if isinstance(override[key], list) and key in MERGED_OTHERWISE:
        raise NotImplementedError(f"{key} has a merge rule of its own, which is not known here")
    return merge(base[key], override[key]) if key in base else override[key]


def interpolate(tree: Any, environment: Mapping[str, str]) -> Any:
    """The tree with `${NAME:-default}` replaced: the default where NAME is unset or empty."""
    if isinstance(tree, dict):
        return {key: interpolate(value, environment) for key, value in tree.items()}
    if isinstance(tree, list):
        return [interpolate(item, environment) for item in tree]
    if not isinstance(tree, str):
        return tree
    text = VARIABLE.sub(lambda m: environment.get(m["name"]) or m["default"] or "", tree)
    if "$" in text:
        raise NotImplementedError(f"a form of interpolation that is not known here: {tree!r}")
    return text


def project(*paths: Path, environment: Mapping[str, str] | None = None) -> Any:
    """What `docker compose --file PATH ... config` gives: each interpolated, then merged."""
    merged: Any = {}
    for path in paths:
        merged = merge(merged, interpolate(load(path), environment or {}))
    return merged


def service(*paths: Path, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The one service of the merged project."""
    services = project(*paths, environment=environment)["services"]
    assert list(services) == [SERVICE]
    only: dict[str, Any] = services[SERVICE]
    return only


def container_environment(
    *paths: Path, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The variables that compose sets: a name without a value is passed on where it is set."""
    given = environment or {}
    declared = service(*paths, environment=given)["environment"]
    passed = {name: given.get(name) if value is None else value for name, value in declared.items()}
    return {name: value for name, value in passed.items() if value is not None}


def variables(path: Path) -> dict[str, str | None]:
    """Each variable that a compose file reads, with the default that the file gives it."""
    tree = load(path)
    found: dict[str, str | None] = {
        match["name"]: match["default"]
        for match in VARIABLE.finditer(json.dumps(without_tags(tree)))
    }
    declared = tree["services"][SERVICE].get("environment", {})
    return found | {name: None for name, value in declared.items() if value is None}


def seconds(duration: str) -> float:
    """A duration such as 90s or 15m, in seconds."""
    match = re.fullmatch(r"(\d+)([sm])", duration)
    assert match, f"expected a duration such as 90s or 15m, got {duration!r}"
    return int(match[1]) * {"s": 1, "m": 60}[match[2]]


def specification() -> Any:
    """The Compose specification's JSON schema, as check-jsonschema carries it."""
    vendored = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    return json.loads(vendored.read_text(encoding="utf-8"))
