"""The command line. Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 3 done in part.

What is heavy (torch, the server) is imported by the command that needs it, so that `--help` and
the commands that only talk to a running service start at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from service import __version__, flags, hints
from service.adapter_commands import adapter_app
from service.cache_commands import cache_app
from service.ending import IN_PART, WRONG_USAGE, complain, failing, settings_of
from service.evaluating import evaluate
from service.inputs import DEFAULT_TIMEOUT, MAX_ADD_IMAGES
from service.key_commands import keys_app
from service.output import show_facts, show_verdict
from service.settings import CLIENT_KEY
from service.train import train

if TYPE_CHECKING:
    from service.client import Added, Client

UPLOAD_BYTES = 32 * 2**20

app = typer.Typer(
    name="xmadapter",
    help="Teach an image classifier with a few labelled images, and ask it.\n\n"
    "Every setting is a flag, and a variable: --max-batch is XMADAPTER_MAX_BATCH.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 3 done, but some images were "
    "skipped, or a known accuracy was missed.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)
index_app = typer.Typer(
    help="Build a cache from a folder of images; look at one.", no_args_is_help=True
)
app.add_typer(index_app, name="index")
app.add_typer(adapter_app, name="adapter")
app.add_typer(cache_app, name="cache")
app.add_typer(keys_app, name="keys")

Images = Annotated[
    list[Path], typer.Argument(help="JPEG, PNG or WebP files.", exists=True, dir_okay=False)
]
Url = Annotated[
    str | None,
    typer.Option(help="Where the service listens.  [default: from --host and --port's settings]"),
]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for an answer.", min=0.1)]
ApiKey = Annotated[
    str | None,
    typer.Option(envvar=CLIENT_KEY, help="Where the service asks for one.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"xmadapter {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of all commands."""


@app.command()
@flags.settings_flags(flags.ALL)
def serve(**given: Any) -> None:
    """Serve the HTTP API; Ctrl-C or SIGTERM ends it, once what is in flight is answered."""
    settings = settings_of(given)
    from service.running import ServeError
    from service.server import serve as run

    with failing(ServeError):
        run(settings)


@app.command()
def classify(
    images: Images,
    top_k: Annotated[int, typer.Option(help="Classes to show.", min=1, max=1000)] = 5,
    explain: Annotated[int, typer.Option(help="Shots to show.", min=0, max=1000)] = 5,
    min_confidence: Annotated[
        float, typer.Option(help="Below it the answer is unknown.", min=0, max=1)
    ] = 0.0,
    url: Url = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Ask a running service what images show, and why."""
    from service.client import ClientError

    console = Console()
    failed = False
    with failing(ClientError), _client(url, api_key, timeout) as client:
        for path in images:
            try:
                answer = client.classify(
                    path, top_k=top_k, explain=explain, min_confidence=min_confidence
                )
            except ClientError as error:
                if len(images) == 1:
                    raise
                complain(f"{path}: {error}")
                failed = True
                continue
            if as_json:
                typer.echo(json.dumps({"image": str(path), **answer.model_dump(mode="json")}))
            else:
                show_verdict(console, str(path), answer)
    if failed:
        raise typer.Exit(IN_PART)


@app.command()
def add(
    label: Annotated[str, typer.Argument(help="The class; a new one is made.")],
    images: Images,
    caption: Annotated[
        list[str] | None, typer.Option(help="An image's own words; once for each, or never.")
    ] = None,
    relabel: Annotated[
        bool, typer.Option("--relabel", help="Move images that are known under another label.")
    ] = False,
    url: Url = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Teach a running service a class with some images of it."""
    from service.client import ClientError

    captions = caption or []
    if captions and len(captions) != len(images):
        complain(f"expected one --caption for each of {len(images)} images, got {len(captions)}")
        raise typer.Exit(WRONG_USAGE)
    with failing(ClientError), _client(url, api_key, timeout) as client:
        for part in _uploads(images):
            own = captions[part.start : part.stop] or None
            added = client.add(label, [images[row] for row in part], captions=own, relabel=relabel)
            typer.echo(added.model_dump_json() if as_json else _taught(added))


@index_app.command("build")
@flags.settings_flags(flags.BUILD)
def build(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder for each class, a CSV or JSONL of path, label and caption, a CoOp split "
            "file, or a zip of any of these."
        ),
    ],
    cache: Annotated[Path, typer.Argument(help="Folder of the cache; one that is there grows.")],
    views: Annotated[int, typer.Option(help="Views that a key is the mean of.", min=1)] = 10,
    batch: Annotated[int, typer.Option(help="Images encoded together.", min=1)] = 64,
    split: Annotated[
        str | None, typer.Option(help="Part of a source that has several; train if not given.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad image.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    **given: Any,
) -> None:
    """Encode labelled images into a cache.

    A bad image is named and skipped, and the exit code is 3 then. An interrupted build leaves no
    half cache; the same command goes on where it stopped.
    """
    settings = settings_of(given)
    from service.indexing import FAILURES, build_index

    with failing(*FAILURES):
        report = build_index(
            source,
            cache,
            settings,
            views=views,
            batch=batch,
            split=split,
            strict=strict,
            progress=not quiet,
        )
    typer.echo(f"{cache}: {report.added} images added, {report.skipped} known already")
    for image in report.bad:
        typer.echo(f"skipped {image.name}: {image.reason}", err=True)
    if report.bad:
        typer.echo(f"{len(report.bad)} images were skipped", err=True)
        raise typer.Exit(IN_PART)


@index_app.command("info")
def info(
    cache: Annotated[Path, typer.Argument(help="Folder of the cache.")],
    as_json: AsJson = False,
) -> None:
    """Show what is in a cache; it may be in use."""
    from service.indexing import FAILURES, index_facts

    with failing(*FAILURES):
        facts = index_facts(cache)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        show_facts(Console(), facts)


@app.command()
@flags.settings_flags(("cache", *flags.MODEL))
def demo(
    images: Annotated[Path, typer.Option(help="Folder for the demo's images.")] = Path("var/demo"),
    **given: Any,
) -> None:
    """Make the demo: a cache of drawings, and images to try it with. Does nothing twice."""
    settings = settings_of(given)
    from service.indexing import FAILURES, demo_exists, make_demo

    if demo_exists(settings.cache, images):
        return
    typer.echo(f"Preparing the demo: a cache in {settings.cache}, images in {images} ...")
    with failing(*FAILURES):
        make_demo(settings, images)


app.command()(evaluate)
app.command()(train)


def _client(url: str | None, api_key: str | None, timeout: float) -> Client:
    from service.client import Client

    return Client(url or _default_url(), key=api_key, timeout=timeout)


def _default_url() -> str:
    settings = settings_of({})
    return hints.address(settings.host, settings.port)


def _uploads(images: Sequence[Path]) -> Iterator[range]:
    """The images in as many requests as their number and size need."""
    start, size = 0, 0
    for row, path in enumerate(images):
        more = path.stat().st_size
        if row > start and (row - start == MAX_ADD_IMAGES or size + more > UPLOAD_BYTES):
            yield range(start, row)
            start, size = row, 0
        size += more
    yield range(start, len(images))


def _taught(added: Added) -> str:
    new = sum(added.created)
    known = len(added.created) - new
    return (
        f"{added.label}: {new} new{f', {known} known already' if known else ''}; "
        f"{added.shots_in_class} in the class (cache version {added.cache_version})"
    )


if __name__ == "__main__":
    app()
