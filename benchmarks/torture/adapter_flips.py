"""Damage to the files of adapters, and to an index snapshot: told, and never a wrong answer."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal

import torch
from torch.nn.functional import normalize

from adapter.encoder import PixelEncoder
from adapter.networks import Networks
from benchmarks.torture.damage import flips, truncations
from benchmarks.torture.row import Clock, Row
from indexer import centroids
from indexer.adapters import CURRENT, Adapter, Adapters, Record
from indexer.centroids import image_centroids
from indexer.following import Publications
from indexer.opening import origin_of
from indexer.store import Store

FLIPS = 10_000
SEED = 17
KEYS = 200
GOAL = "0 wrong answers; what is not as before is told, with the file's name"
ENCODER = PixelEncoder()
RECORD = Record(
    encoder=ENCODER.fingerprint,
    model=ENCODER.name,
    method="full",
    cache_version=2,
    shots=4,
    classes=2,
    seed=1,
    settings={"epochs": 5, "learning_rate": 0.005, "residual": "class"},
    metrics={"loss": 0.25},
    parameters=512,
    seconds=1.5,
    accuracy=0.75,
    serving=None,
    serving_accuracy=0.5,
    published=True,
    reason="better",
)


Ending = Literal["same", "told", "wrong"]
"""Exactly as before the damage; the documented fallback, with the file named; anything else."""

State = tuple[Record | None, bytes]
"""What serves: what is known of it, and its networks as a file would have them."""


def run(effort: float, folder: Path) -> Sequence[Row]:
    """Flip bytes of each kind of file, and cut each at every length."""
    return [
        *check_adapter_files(effort, folder / "adapters"),
        *check_snapshot(effort, folder / "snapshot"),
    ]


def check_adapter_files(effort: float, folder: Path) -> list[Row]:
    """Damage networks, record and pointer of the adapter that serves; open after each time.

    Of three adapters 2 serves, and 3 was never published. Where 2's own files are damaged 1 is to
    serve, and where the pointer is, which then cannot tell, the last that was published.
    """
    folder.mkdir()
    adapters = Adapters(folder)
    for number in (1, 2, 3):
        networks = Networks.initial(ENCODER.width, 4, seed=number)
        adapters.write(networks, replace(RECORD, published=number < 3))
    sound = {n: _state(adapters.read(n, ENCODER.fingerprint, ENCODER.width)) for n in (1, 2)}
    weights, record = adapters.paths(2)
    rows: list[Row] = []
    for path, fallback in ((weights, 1), (record, 1), (adapters.folder / CURRENT, 2)):
        opening = partial(_open_adapter, adapters, path, sound, fallback)
        rows += _damage(path, effort, opening)
    return rows


def check_snapshot(effort: float, folder: Path) -> list[Row]:
    """Damage the snapshot of an index's centroids; they are made again, the same, with a line."""
    Store.create(folder, origin_of(ENCODER, ["a {}"]))
    generator = torch.Generator().manual_seed(SEED)
    keys = normalize(torch.randn(KEYS, ENCODER.width, generator=generator), dim=1)
    path = folder / centroids.FILE
    with closing(Store(folder)) as store, _heard() as lines:
        sound = image_centroids(store, keys)
        whole = path.read_bytes()

        def opening() -> Ending:
            lines.clear()
            if not torch.equal(image_centroids(store, keys), sound) or path.read_bytes() != whole:
                return "wrong"
            named = [path.name in str(vars(line).get("fields")) for line in lines]
            return "told" if named == [True] else "wrong"

        return _damage(path, effort, opening)


def _state(adapter: Adapter) -> State:
    return adapter.record, adapter.networks.content()


def _open_adapter(
    adapters: Adapters, path: Path, sound: Mapping[int, State], fallback: int
) -> Ending:
    publications = Publications(adapters, ENCODER)
    served, error = publications.first(), publications.error
    if _state(served) != sound[2 if error is None else fallback]:
        return "wrong"
    if error is None:
        return "same"
    return "told" if path.name in error else "wrong"


def _damage(path: Path, effort: float, opening: Callable[[], Ending]) -> list[Row]:
    whole, count = path.read_bytes(), max(1, round(FLIPS * effort))
    lengths = list(truncations(whole))[:: max(1, round(1 / effort))]
    rows = [
        _tried(
            f"{count:,} random byte flips in {path.name}",
            path,
            flips(whole, count, Random(SEED)),
            opening,
        ),
        _tried(f"{len(lengths):,} shorter lengths of {path.name}", path, lengths, opening),
    ]
    path.write_bytes(whole)
    return rows


def _tried(name: str, path: Path, damaged: Iterable[bytes], opening: Callable[[], Ending]) -> Row:
    clock, endings = Clock(), Counter[Ending]()
    for content in damaged:
        path.write_bytes(content)
        endings[opening()] += 1
    told, same, wrong = endings["told"], endings["same"], endings["wrong"]
    figure = f"{told:,} told, {same:,} as before, {wrong:,} wrong"
    return Row(name, figure, GOAL, wrong == 0, clock.seconds)


class _Kept(logging.Handler):
    def __init__(self, lines: list[logging.LogRecord]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record)


@contextmanager
def _heard() -> Iterator[list[logging.LogRecord]]:
    """The indexer's log lines, which go nowhere else meanwhile."""
    lines: list[logging.LogRecord] = []
    handler = _Kept(lines)
    propagated = centroids.LOGGER.propagate
    centroids.LOGGER.addHandler(handler)
    centroids.LOGGER.propagate = False
    try:
        yield lines
    finally:
        centroids.LOGGER.removeHandler(handler)
        centroids.LOGGER.propagate = propagated
