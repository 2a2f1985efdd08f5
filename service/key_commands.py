"""The commands that make, list and revoke API keys: `xmadapter keys`."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service import flags, keys
from service.ending import WRONG_USAGE, complain, failing, settings_of
from service.keyfile import KeyFile, KeyFileError
from service.keys import Key

FLAGS = ("cache", "keys")
NO_KEYS = "there is no API key yet: `xmadapter keys create NAME` makes one"
BURST_SECONDS = 2

keys_app = typer.Typer(
    help="Make, list and revoke the API keys that the service asks for.", no_args_is_help=True
)


@keys_app.command("create")
@flags.settings_flags(FLAGS)
def create(
    name: Annotated[str, typer.Argument(help="Whose it is; the history of changes shows it.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What it may do: read, write (and read) or admin.  [default: read]"),
    ] = None,
    expires: Annotated[
        float | None, typer.Option(help="Days that it is good for; until revoked if not given.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Requests a second.  [default: the service's --key-rate]")
    ] = None,
    burst: Annotated[
        int | None,
        typer.Option(
            help="Requests at once, after a pause.  [default: two seconds' worth of --rate, or the "
            "service's --key-burst]"
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(help="Requests under way.  [default: the service's --key-concurrency]"),
    ] = None,
    **given: Any,
) -> None:
    """Make a key and print it, this once: only a hash of it is kept.

    A running service knows it from the next request on; the first key makes it ask everybody.
    """
    file = KeyFile.of(settings_of(given))
    if burst is None and rate is not None and math.isfinite(rate):
        burst = max(1, math.ceil(BURST_SECONDS * rate))
    try:
        key, kept = keys.make(
            name,
            scope or ["read"],
            expires=_end(expires),
            rate=rate,
            burst=burst,
            concurrency=concurrency,
        )
    except ValidationError as error:
        first = error.errors(include_context=False)[0]
        message = first["msg"].replace("Input should be", "expected")
        complain(f"{first['loc'][0]}: {message}, got {first['input']!r}")
        raise typer.Exit(WRONG_USAGE) from None
    with failing(KeyFileError):
        file.add(kept)
    typer.echo(
        f"The key {kept.id} of {name}, kept as a hash in {file.path}; note it now:", err=True
    )
    typer.echo(key)


@keys_app.command("list")
@flags.settings_flags(FLAGS)
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
    **given: Any,
) -> None:
    """List the keys: whose they are and what they may do, never what they are."""
    with failing(KeyFileError):
        found = KeyFile.of(settings_of(given)).read() or ()
    if as_json:
        for key in found:
            typer.echo(json.dumps(key.model_dump(mode="json", exclude={"digest"})))
    elif found:
        Console().print(_table(found))
    else:
        typer.echo(NO_KEYS, err=True)


@keys_app.command("revoke")
@flags.settings_flags(FLAGS)
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `xmadapter keys list` shows it.")],
    **given: Any,
) -> None:
    """Revoke a key; a running service refuses it from the next request on.

    Without any key left the service goes on asking for one.
    """
    with failing(KeyFileError):
        gone = KeyFile.of(settings_of(given)).revoke(key_id)
    typer.echo(f"The key {gone.id} of {gone.name} is revoked.")


def _end(days: float | None) -> datetime | None:
    """When a time in days from now is over; a wrong one ends the program."""
    if days is None:
        return None
    try:
        if days > 0:
            return datetime.now(UTC) + timedelta(days=days)
    except OverflowError:
        pass
    complain(f"--expires: expected days from now, more than 0, got {days:g}")
    raise typer.Exit(WRONG_USAGE)


def _table(found: tuple[Key, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("id", no_wrap=True)
    for column in ("name", "scopes", "made", "expires", "limits"):
        table.add_column(column, overflow="fold")
    now = datetime.now(UTC)
    for key in found:
        end = "never" if key.expires is None else f"{key.expires:%Y-%m-%d}"
        table.add_row(
            key.id,
            Text(key.name),
            " ".join(key.scopes),
            f"{key.created:%Y-%m-%d}",
            f"{end}, over" if key.expired(now) else end,
            _limits(key),
        )
    return table


def _limits(key: Key) -> str:
    own = [
        (key.rate, "a second"),
        (key.burst, "at once"),
        (key.concurrency, "under way"),
    ]
    given = [f"{value:g} {what}" for value, what in own if value is not None]
    return ", ".join(given) or "the service's"
