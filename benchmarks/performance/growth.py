"""What a cache costs as it grows: a shot more, its memory, a start, and the command line's own.

Adds are measured in this process, on the path from `Cache.add` to the next answer; memory and
starts of real services.
"""

from __future__ import annotations

import contextlib
import hashlib
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from adapter.encoder import Encoder, PixelEncoder, load_encoder
from adapter.learned import Learned
from adapter.networks import Networks
from adapter.prompts import DEFAULT_TEMPLATES
from benchmarks.performance.inputs import drawn
from benchmarks.server import Server, serving
from benchmarks.torture.start import CLASSES, THUMBNAIL_BYTES, fill
from indexer.cache import Cache, NewShot
from indexer.opening import origin_of
from indexer.store import Store

WIDTH = 512
SMALL, LARGE = 1_000, 100_000
ADDS = 1_000
BLOCK = 50
"""Adds that are measured together; small and large cache take turns."""

SCORED = 50
"""After every so many adds an answer is measured too: it leaves the processor's caches cold."""

MODEL = ("ViT-B-32", "random")
"""Its width is 512; without a download."""

SETTLED_SECONDS = 2.0


@dataclass(frozen=True)
class AddCosts:
    """Milliseconds at one size of the cache, a mean for each block of adds.

    Attributes:
        commit: `Cache.add`: one transaction, on disk.
        memory: all that the next answer needs of it: reading it from the store, both indices,
            texts, pairs, class means, the head.
        first: the answer after it, to one query.
        again: the same answer once more, which has nothing of the add left to do.
    """

    commit: tuple[float, ...]
    memory: tuple[float, ...]
    first: tuple[float, ...]
    again: tuple[float, ...]


def add_costs(
    folder: Path,
    small: int = SMALL,
    large: int = LARGE,
    adds: int = ADDS,
    device: str = "cpu",
) -> tuple[AddCosts, AddCosts]:
    """Teach a small and a large cache one shot after another, in turns.

    Args:
        folder: where the caches are made; empty.
        small, large: how many shots they have at first.
        adds: to each of them, in blocks of `BLOCK`; a multiple of that.
        device: where the keys are.

    Returns:
        Of the small one and of the large one, block by block.
    """
    encoder = PixelEncoder(width=WIDTH, device=device)
    features, query = _unit(adds, 1), _unit(1, 2)
    with contextlib.ExitStack() as caches:
        opened = []
        for count in (small, large):
            place = folder / f"adds-{count}"
            fill(place, encoder, count)
            opened.append(caches.enter_context(Cache.open(place, encoder)))
        blocks: list[list[tuple[float, ...]]] = [[], []]
        for start in range(0, adds, BLOCK):
            for cache, found in zip(opened, blocks, strict=True):
                found.append(_block(cache, features[start : start + BLOCK], start, query))
    small_costs, large_costs = (AddCosts(*zip(*found, strict=True)) for found in blocks)
    return small_costs, large_costs


def _block(cache: Cache, features: Tensor, start: int, query: Tensor) -> tuple[float, ...]:
    """Mean milliseconds of each field of `AddCosts`."""
    found: list[list[float]] = [[], [], [], []]
    for at, feature in enumerate(features, start):
        shot = NewShot(
            feature=feature,
            sha256=hashlib.sha256(f"add {at}".encode()).hexdigest(),
            caption=None,
            thumbnail=bytes(THUMBNAIL_BYTES),
        )
        began = time.perf_counter()
        cache.add(f"class {at % CLASSES}", [shot])
        stored = time.perf_counter()
        cache.catch_up()
        found[0].append(stored - began)
        found[1].append(time.perf_counter() - stored)
        if (at + 1) % SCORED == 0:
            found[2].append(_answered(cache, query))
            found[3].append(_answered(cache, query))
    return tuple(1000 * statistics.mean(each) for each in found)


def _answered(cache: Cache, query: Tensor) -> float:
    began = time.perf_counter()
    cache.classify(query)
    return time.perf_counter() - began


def _unit(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, WIDTH, generator=generator)
    return torch.nn.functional.normalize(rows, dim=1)


@dataclass(frozen=True)
class Memory:
    """Kilobytes (1,000 bytes) a shot that a service holds, beyond the same one without shots.

    Attributes:
        untrained: with untrained networks.
        moved: with networks that move image keys.
        peak: the most at any time until the numbers were fitted again, untrained.
    """

    untrained: float
    moved: float
    peak: float


def memory_per_shot(folder: Path, shots: int = LARGE, model: Sequence[str] = MODEL) -> Memory:
    """Start services with many shots and without any, of one model with D = 512.

    Each has answered a question, taken one more shot and fitted its numbers to that before its
    memory is read.

    Args:
        folder: where the caches are made; empty.
        shots: in the large one.
        model: name and weights.
    """
    encoder = load_encoder(*model, device="cpu")
    full, empty = folder / "full", folder / "few"
    fill(full, encoder, shots)
    # One a class: without any there is nothing to ask.
    fill(empty, encoder, 1)
    moving = folder / "moving.safetensors"
    _moving_networks(encoder).save(moving)
    flags = ("--model", model[0], "--pretrained", model[1])
    # The first fits here, however long they take: what a service is waited for has an end.
    for cache, networks in ((full, None), (empty, None), (full, moving)):
        Cache.open(cache, encoder, networks=networks).close()
    found = []
    for cache, more in ((full, ()), (empty, ()), (full, ("--networks", str(moving)))):
        with serving(cache, *flags, *more) as server:
            _use(server)
            found.append(_resident(server.pid))
    (whole, peak), (without, _), (moved, _) = found
    return Memory(*((each - without) / shots / 1000 for each in (whole, moved, peak)))


def _moving_networks(encoder: Encoder) -> Networks:
    residuals = {f"class {at}": row / 100 for at, row in enumerate(_unit(CLASSES, 3))}
    networks = Networks.initial(encoder.width, encoder.width // 4)
    return replace(networks, learned=Learned(class_residuals=residuals))


def _use(server: Server) -> None:
    """A question, a shot, and the fit after it."""
    [image] = drawn(1)
    server.client.classify(image)
    server.client.add("class 0", [image])
    server.settle()
    server.client.classify(image)
    time.sleep(SETTLED_SECONDS)


def _resident(pid: int) -> tuple[int, int]:
    """Bytes of a process in memory: now, and at most so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines)
    now, most = (int(facts[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


@dataclass(frozen=True)
class Starts:
    """Seconds, run by run.

    Attributes:
        model: a process that imports torch, loads the shipped model and ends.
        empty: from a service's start to ready, with an empty cache.
        full: with many shots.
    """

    model: tuple[float, ...]
    empty: tuple[float, ...]
    full: tuple[float, ...]

    @property
    def beyond(self) -> tuple[float, ...]:
        """Of `full`, what is not torch and the model."""
        return tuple(full - model for full, model in zip(self.full, self.model, strict=True))


LOAD = "from adapter.encoder import load_encoder; load_encoder(device='cpu')"


def start_seconds(folder: Path, shots: int = LARGE, runs: int = 3) -> Starts:
    """Start services with many shots and with none, in turns, after one of each that fits.

    Args:
        folder: where the caches are made; empty.
        shots: in the large one.
        runs: of each.
    """
    encoder = load_encoder(device="cpu")
    full, empty = folder / "start-full", folder / "start-empty"
    fill(full, encoder, shots)
    Store.create(empty, origin_of(encoder, DEFAULT_TEMPLATES))
    for cache in (full, empty):
        with serving(cache) as server:
            server.settle()
    found = [
        (_ended((sys.executable, "-c", LOAD)), _started(empty), _started(full)) for _ in range(runs)
    ]
    return Starts(*zip(*found, strict=True))


def _started(cache: Path) -> float:
    with serving(cache) as server:
        return server.start_seconds


HELP: tuple[tuple[str, ...], ...] = (
    (),
    ("serve",),
    ("classify",),
    ("index", "build"),
    ("adapter",),
    ("train",),
)


def help_seconds(runs: int = 5) -> dict[str, tuple[float, ...]]:
    """Command -> seconds of its `--help`, in processes of their own."""
    found: dict[str, list[float]] = {}
    for _ in range(runs):
        for words in HELP:
            command = (sys.executable, "-m", "service.cli", *words, "--help")
            found.setdefault(" ".join(("xmadapter", *words)), []).append(_ended(command))
    return {name: tuple(seconds) for name, seconds in found.items()}


def _ended(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
