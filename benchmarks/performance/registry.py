"""Which groups there are."""

from __future__ import annotations

from importlib import import_module

from benchmarks.performance.group import Group

CPU: tuple[str, ...] = (
    "pixels",
    "encoder",
    "head",
    "stages",
    "http",
    "start",
    "growth",
    "search",
)
GPU: tuple[str, ...] = ("gpu",)


def group(name: str) -> Group:
    """The group of this name.

    Raises:
        ValueError: there is none.
    """
    if name not in (*CPU, *GPU):
        raise ValueError(f"expected one of {', '.join((*CPU, *GPU))}, got {name!r}")
    found = import_module(f"benchmarks.performance.groups.{name}").GROUP
    assert isinstance(found, Group)
    return found
