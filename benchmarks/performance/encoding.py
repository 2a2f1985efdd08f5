"""The image tower as it is served, beside open_clip's own; batches; first requests.

Ours and theirs take turns in one process, so that both see the same machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any

import open_clip
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from adapter.encoder import DEFAULT_MODEL, Encoder, load_encoder
from adapter.images import ImageLimits
from adapter.weights import RANDOM_SEED, find_weights
from benchmarks.performance.http_caches import SHOTS, taught_pictures
from service.engine import Engine
from service.images import Preparation
from service.inputs import ClassifyQuery
from service.metrics import Metrics
from service.settings import Settings

BATCHES = (1, 4, 16, 64)
FIRST_SIZES = (1, 2, 5, 17, 33, 50, 64)


@dataclass(frozen=True)
class Rate:
    """Images a second at one batch size, a value a repeat.

    Attributes:
        batch: images that are encoded together.
        ours: of the tower as it is served.
        theirs: of open_clip's, float32, as it comes.
    """

    batch: int
    ours: tuple[float, ...]
    theirs: tuple[float, ...]


@dataclass(frozen=True)
class Speed:
    """A model's tower.

    Attributes:
        rates: for each batch size.
        cosine: lowest, between our features and theirs, over the photographs.
    """

    rates: tuple[Rate, ...]
    cosine: float


@dataclass(frozen=True)
class Callers:
    """Requests a second of an engine without HTTP, decoding included, a value a repeat.

    Attributes:
        together: with batches.
        alone: with batches of one image.
    """

    together: tuple[float, ...]
    alone: tuple[float, ...]


@dataclass(frozen=True)
class First:
    """Milliseconds of calls of `images` images, right after the engine said that it is ready.

    Attributes:
        images: in the call, of the model's size, so that decoding them takes next to nothing.
        first: of the first call of this size.
        later: median of those after it.
    """

    images: int
    first: float
    later: float


def tower_speed(
    photographs: Sequence[bytes],
    model: str = DEFAULT_MODEL,
    pretrained: str | None = None,
    *,
    batches: Sequence[int] = BATCHES,
    repeats: int = 3,
    seconds: float = 0.3,
) -> Speed:
    """A model's tower as served on this machine's CPU, against open_clip's.

    Args:
        photographs: to encode, over and over.
        model: the shipped one, or an open_clip model's name.
        pretrained: as `load_encoder` takes it.
        batches: batch sizes.
        repeats: runs of each, by turns.
        seconds: of a run, at least one batch.
    """
    encoder = load_encoder(model, pretrained, device="cpu")
    encoder.warm(max(batches))
    preparation = Preparation(encoder.preprocessing, encoder.width, ImageLimits())
    prepared = [preparation.query(photograph).pixels for photograph in photographs]
    pixels = torch.cat([each for each in prepared if each is not None])
    plain = plain_tower(encoder, model, pretrained)
    found = []
    for batch in batches:
        rows = pixels[[place % len(pixels) for place in range(batch)]]
        runs = [
            (_rate(encoder.encode_images, rows, seconds), _rate(plain, rows, seconds))
            for _ in range(repeats)
        ]
        ours, theirs = zip(*runs, strict=True)
        found.append(Rate(batch, ours, theirs))
    cosines = functional.cosine_similarity(encoder.encode_images(pixels), plain(pixels))
    return Speed(tuple(found), float(cosines.min()))


def plain_tower(encoder: Encoder, model: str, pretrained: str | None) -> Callable[[Tensor], Tensor]:
    """open_clip's own tower of the same weights, float32: uint8 pixels to unit features."""
    weights = find_weights(model, pretrained, None)
    torch.manual_seed(RANDOM_SEED)
    towers: Any = open_clip.create_model(
        weights.model, weights.argument, require_pretrained=weights.file is not None
    )
    towers.eval().requires_grad_(False)
    seen = encoder.preprocessing
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (seen.mean, seen.std))

    def encode(pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            features: Tensor = towers.encode_image((pixels / 255 - mean) / std, normalize=True)
            return features

    return encode


def callers(
    folder: Path,
    encoder: Encoder,
    photographs: Sequence[bytes],
    *,
    count: int = 64,
    seconds: float = 2.0,
    repeats: int = 3,
    shots: int = SHOTS,
) -> Callers:
    """So many callers at once, each with one photograph at a time, with batches and without."""
    cache = taught_pictures(folder / "cache", encoder, shots)
    with (
        _engine(cache, encoder, max_batch=64) as batched,
        _engine(cache, encoder, max_batch=1) as single,
    ):
        runs = [
            tuple(
                asyncio.run(_load(each, photographs, count, seconds)) for each in (batched, single)
            )
            for _ in range(repeats)
        ]
    together, alone = zip(*runs, strict=True)
    return Callers(together, alone)


def first_calls(
    folder: Path, encoder: Encoder, sizes: Sequence[int] = FIRST_SIZES, later: int = 9
) -> tuple[First, ...]:
    """What the first call of each size takes, and those after it.

    Args:
        folder: an empty one.
        encoder: fresh: nothing has been encoded with it.
        sizes: images of a call.
        later: calls after the first.
    """
    cache = taught_pictures(folder / "cache", load_encoder(device="cpu"), shots=2)
    height, width = encoder.preprocessing.size
    stream = BytesIO()
    Image.effect_noise((width, height), 60).convert("RGB").save(stream, "PNG")
    picture = stream.getvalue()

    async def timed(engine: Engine, images: int) -> float:
        began = time.perf_counter()
        await engine.classify([picture] * images, ClassifyQuery())
        return 1000 * (time.perf_counter() - began)

    async def all_of(engine: Engine) -> tuple[First, ...]:
        # What runs for the first time beside the tower, such as the event loop's pool.
        await timed(engine, 1)
        found = []
        for images in sizes:
            times = [await timed(engine, images) for _ in range(1 + later)]
            found.append(First(images, times[0], sorted(times[1:])[later // 2]))
        return tuple(found)

    with _engine(cache, encoder, max_batch=64) as engine:
        return asyncio.run(all_of(engine))


@contextmanager
def _engine(cache: Path, encoder: Encoder, max_batch: int) -> Iterator[Engine]:
    engine = Engine(Settings(cache=cache, max_batch=max_batch), Metrics(), encoder)
    engine.start()
    try:
        engine.started.result(120)
        yield engine
    finally:
        engine.close()


async def _load(engine: Engine, photographs: Sequence[bytes], count: int, seconds: float) -> float:
    """Answers a second."""
    end = time.perf_counter() + seconds

    async def call(start: int) -> int:
        answered = 0
        for photograph in cycle([*photographs[start:], *photographs[:start]]):
            if time.perf_counter() >= end:
                return answered
            await engine.classify([photograph], ClassifyQuery())
            answered += 1
        return answered

    began = time.perf_counter()
    answers = await asyncio.gather(*(call(place % len(photographs)) for place in range(count)))
    return sum(answers) / (time.perf_counter() - began)


def _rate(encode: Callable[[Tensor], Tensor], rows: Tensor, seconds: float) -> float:
    encode(rows)
    began, batches = time.perf_counter(), 0
    while batches == 0 or time.perf_counter() - began < seconds:
        encode(rows)
        batches += 1
    return batches * len(rows) / (time.perf_counter() - began)
