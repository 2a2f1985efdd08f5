"""From a process's start to its first "ready", with a large cache and with an empty one.

The difference is what the cache costs: the rest is Python, torch and the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from adapter.encoder import Encoder
from adapter.prompts import DEFAULT_TEMPLATES
from benchmarks.server import serving
from benchmarks.torture.row import Clock, Row
from indexer.opening import origin_of
from indexer.records import Floats, StoredShot
from indexer.store import Store
from service.indexing import encoder_of
from service.settings import Settings

SHOTS = 100_000
CLASSES = 100
GROUP = 500
THUMBNAIL_BYTES = 3_000
"""As a picture of 256 pixels takes."""

SPREAD = 0.7
"""How far shots lie from their class's middle, which is 1 long."""

STARTS = 5
GOAL = 5.0


def run(effort: float, folder: Path) -> Sequence[Row]:
    """Start on a cache of 100,000 shots, and on an empty one; a row of the medians."""
    clock = Clock()
    shots = max(CLASSES, round(SHOTS * effort))
    starts = max(1, round(STARTS * effort))
    full, empty = folder / "full", folder / "empty"
    encoder = encoder_of(Settings())
    fill(full, encoder, shots)
    Store.create(empty, origin_of(encoder, DEFAULT_TEMPLATES))
    first = _first_start(full)
    _first_start(empty)
    # In turn, so that whatever else the machine does is the same for both.
    pairs = [(_start(full), _start(empty)) for _ in range(starts)]
    seconds, without = (median(each) for each in zip(*pairs, strict=True))
    return [
        Row(
            f"start with {shots:,} shots",
            f"{seconds:.2f} s, of which {without:.2f} s as with an empty cache (medians of "
            f"{starts}; the very first, which fits the numbers, {first:.2f} s)",
            f"ready within {GOAL:g} s",
            seconds <= GOAL,
            clock.seconds,
        )
    ]


def fill(cache: Path, encoder: Encoder, shots: int) -> None:
    """Make a cache in the folder `cache` with so many shots, in `CLASSES` clusters.

    Each has what an image leaves behind: a key and a thumbnail.
    """
    Store.create(cache, origin_of(encoder, DEFAULT_TEMPLATES))
    store = Store(cache)
    chance = np.random.default_rng(0)
    middles = _unit(chance.standard_normal((CLASSES, encoder.width), np.float32))
    try:
        for begin in range(0, shots, GROUP):
            count = min(GROUP, shots - begin)
            label = begin // GROUP % CLASSES
            noise = _unit(chance.standard_normal((count, encoder.width), np.float32))
            keys = _unit(middles[label] + SPREAD * noise)
            rows = [
                StoredShot(
                    sha256=hashlib.sha256(str(begin + row).encode()).hexdigest(),
                    key=key,
                    thumbnail=chance.bytes(THUMBNAIL_BYTES),
                )
                for row, key in enumerate(keys)
            ]
            store.add(f"class {label}", rows, feature=middles[label])
    finally:
        store.close()


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return unit


def _first_start(cache: Path) -> float:
    """Seconds of a start after which all that is kept for the next one has been made."""
    with serving(cache) as server:
        server.settle()
        return server.start_seconds


def _start(cache: Path) -> float:
    with serving(cache) as server:
        return server.start_seconds
