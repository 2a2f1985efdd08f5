"""The commands that show a cache's adapters and choose among them: `xmadapter adapter`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from service.ending import IN_PART, WRONG_USAGE, complain, failing

if TYPE_CHECKING:
    from service.publishing import Listed

UNTRAINED = ("0", "none")

adapter_app = typer.Typer(
    help="See a cache's adapters; choose which one serves.", no_args_is_help=True
)

CacheFolder = Annotated[Path, typer.Argument(help="Folder of the cache; a service may have it.")]


@adapter_app.command("list")
def show(
    cache: CacheFolder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """List the adapters of a cache, and check each.

    The exit code is 3 if one is damaged, or if it cannot be told which one is to serve.
    """
    from service.publishing import FAILURES, list_adapters

    with failing(*FAILURES):
        found, error = list_adapters(cache)
    if as_json:
        for each in found:
            typer.echo(json.dumps(asdict(each)))
    elif found:
        Console().print(_table(found))
    if not (error or as_json or any(each.serves for each in found)):
        typer.echo("Untrained networks are to serve.")
    troubles = [error, *(each.error for each in found)]
    # The adapter that is to serve may be the one that is damaged.
    for trouble in dict.fromkeys(each for each in troubles if each is not None):
        complain(trouble)
    if any(troubles):
        raise typer.Exit(IN_PART)


@adapter_app.command("use")
def use(
    number: Annotated[str, typer.Argument(help="Its number; 0 or none for untrained networks.")],
    cache: CacheFolder,
) -> None:
    """Have an adapter of a cache serve, or untrained networks.

    It is checked first. A service on this cache takes it up by itself.
    """
    wanted = None if number in UNTRAINED else _number(number)
    from service.publishing import FAILURES, use_adapter

    with failing(*FAILURES):
        use_adapter(cache, wanted)
    what = "Untrained networks are" if wanted is None else f"Adapter {wanted} is"
    typer.echo(f"{what} to serve.")


def _number(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    complain(f"expected the number of an adapter, or none for untrained networks, got {text!r}")
    raise typer.Exit(WRONG_USAGE)


def _table(found: Sequence[Listed]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("number", "created", "method", "accuracy", "published", "serves"):
        table.add_column(name)
    for each in found:
        table.add_row(
            str(each.number),
            each.created or "?",
            each.method or "?",
            "?" if each.accuracy is None else f"{each.accuracy:.1%}",
            "?" if each.published is None else ("yes" if each.published else "no"),
            ("yes" if each.error is None else "unusable") if each.serves else "",
        )
    return table
