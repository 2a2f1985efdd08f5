"""The commands that look after a cache, beside a service or without one: `xmadapter cache`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from tqdm import tqdm

from service.ending import FAILED, complain, failing

STREAM = Path("-")

cache_app = typer.Typer(
    help="Look after a cache: keep it in one file, look for damage, erase its history.",
    no_args_is_help=True,
)

Cache = Annotated[Path, typer.Argument(help="Folder of the cache; a service may have it.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]


@cache_app.command("export")
def export(
    cache: Cache,
    file: Annotated[
        Path,
        typer.Argument(help="To write, replacing one that is there; - for the standard output."),
    ],
    without_history: Annotated[
        bool,
        typer.Option(
            "--without-history",
            help="Leave out earlier versions, forgotten shots and kept answers.",
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write a cache into one file: a tar archive with checksums, of one moment.

    Its history and trained adapters come along, API keys do not. It is not compressed; a copy is
    made first, beside FILE, or where TMPDIR says for the standard output.
    """
    from indexer.transfer import export_cache
    from service.indexing import FAILURES

    scratch = None if file == STREAM else file.parent
    with failing(*FAILURES), _writing(file) as target, _Bar(shown=not quiet) as bar:
        found = export_cache(
            cache, target, history=not without_history, scratch=scratch, progress=bar
        )
    typer.echo(
        f"{cache}: version {found.version}, {found.classes} classes, {found.shots} shots, "
        f"{found.bytes:,} bytes exported",
        err=True,
    )


@cache_app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="As `export` wrote it; - for the standard input.")],
    cache: Annotated[Path, typer.Argument(help="Folder that is not there yet, or is empty.")],
    quiet: Quiet = False,
) -> None:
    """Make a cache of an exported file: all of it or, where a byte is wrong, nothing."""
    from indexer.transfer import import_cache
    from service.indexing import FAILURES

    with failing(*FAILURES), _reading(file) as source, _Bar(shown=not quiet) as bar:
        found = import_cache(source, cache, progress=bar)
    typer.echo(
        f"{cache}: version {found.version}, {found.classes} classes, {found.shots} shots of "
        f"{found.model}",
        err=True,
    )


@cache_app.command("verify")
def verify(
    cache: Cache,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also make every version again, and search each key.")
    ] = False,
) -> None:
    """Look for damage: pages, checksums, features, adapters, the indices beside the store.

    Prints what was looked at, and all that is wrong; the exit code is 1 then.
    """
    from indexer.verification import verify as findings
    from service.indexing import FAILURES

    wrong = 0
    with failing(*FAILURES):
        for finding in findings(cache, deep=deep):
            count = len(finding.wrong) + finding.more
            wrong += count
            verdict = f"{count:,} wrong" if count else "sound"
            typer.echo(f"{finding.name.replace('_', ' '):20} {finding.count:>12,}  {verdict}")
            for line in finding.wrong:
                complain(line)
            if finding.more:
                complain(f"and {finding.more:,} more of these")
    if wrong:
        raise typer.Exit(FAILED)


@cache_app.command("compact")
def compact(
    cache: Cache,
    keep: Annotated[
        int, typer.Option(help="Versions before this one that can still be gone back to.", min=0)
    ] = 0,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase old versions for good, with the shots that were forgotten by then.

    What is in force stays. Freed room goes back to the disk.
    """
    from indexer.compaction import compact as erase
    from indexer.compaction import planned
    from indexer.info import bytes_in
    from indexer.store import Store
    from service.indexing import FAILURES

    with failing(*FAILURES), contextlib.closing(Store(cache)) as store:
        plan = planned(store, keep)
        if not plan.versions:
            typer.echo(f"{cache}: nothing to erase, its oldest version is {plan.oldest}")
            return
        typer.echo(
            f"{cache}: erases {plan.versions:,} versions, those before {plan.oldest}, and "
            f"{plan.shots:,} shots that are in none since"
        )
        if not yes and not typer.confirm("They cannot be brought back. Erase them?"):
            raise typer.Exit(FAILED)
        before = bytes_in(cache)
        erase(store, plan)
        typer.echo(
            f"{plan.versions:,} versions erased; {before:,} bytes before, {bytes_in(cache):,} after"
        )


@contextlib.contextmanager
def _writing(file: Path) -> Iterator[BinaryIO]:
    from adapter.files import whole_file

    if file == STREAM:
        yield typer.get_binary_stream("stdout")
        return
    with whole_file(file) as target:
        yield target


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[BinaryIO]:
    if file == STREAM:
        yield typer.get_binary_stream("stdin")
        return
    with file.open("rb") as source:
        yield source


class _Bar:
    """A bar on the standard error, if that is a terminal: bytes done, of all."""

    def __init__(self, *, shown: bool) -> None:
        self._bar = tqdm(unit="B", unit_scale=True, disable=None if shown else True)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __call__(self, done: int, total: int) -> None:
        """Show it."""
        self._bar.total = total
        self._bar.update(done - self._bar.n)
