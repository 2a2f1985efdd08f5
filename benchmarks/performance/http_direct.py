"""The work of a request without its service: decode, resize, encode, head, called in a loop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import torch

from adapter.encoder import Encoder
from adapter.head import Scores
from adapter.images import ImageLimits
from indexer.cache import Cache
from service.images import Preparation
from service.inputs import ClassifyQuery


@dataclass(frozen=True)
class Cost:
    """Of an image, on the average over those of a loop.

    With one thread to a tensor operation, and with one a core, each figure being the lesser of
    both: several threads answer sooner, and spend more of the processors' time on it.

    Attributes:
        milliseconds: median time of a batch, divided by its images.
        processor_milliseconds: processor time, of all threads.
    """

    milliseconds: float
    processor_milliseconds: float


class Direct:
    """A cache that is asked by this process itself.

    Args:
        cache: folder of a cache.
        encoder: of its model.
    """

    def __init__(self, cache: Path, encoder: Encoder) -> None:
        self._encoder = encoder
        self._cache = Cache.open(cache, encoder, create=False)
        self._preparation = Preparation(encoder.preprocessing, encoder.width, ImageLimits())
        self._query = ClassifyQuery()

    def close(self) -> None:
        """Close the cache."""
        self._cache.close()

    def cost(self, images: Sequence[bytes], batch: int, seconds: float, warm: float = 0.3) -> Cost:
        """What images cost, so many together, over as many batches as end within `seconds`."""
        before = torch.get_num_threads()
        try:
            found = []
            for threads in sorted({1, before}):
                torch.set_num_threads(threads)
                found.append(self._cost(cycle(images), batch, seconds / 2, warm))
        finally:
            torch.set_num_threads(before)
        return Cost(
            min(each.milliseconds for each in found),
            min(each.processor_milliseconds for each in found),
        )

    def _cost(self, source: cycle[bytes], batch: int, seconds: float, warm: float) -> Cost:
        self._loop(source, batch, warm)
        before = time.process_time()
        times = self._loop(source, batch, seconds)
        spent = time.process_time() - before
        middle = sorted(times)[len(times) // 2]
        return Cost(1000 * middle / batch, 1000 * spent / (batch * len(times)))

    def _loop(self, source: cycle[bytes], batch: int, seconds: float) -> list[float]:
        times: list[float] = []
        end = time.perf_counter() + seconds
        while not times or time.perf_counter() < end:
            began = time.perf_counter()
            self._answer(list(islice(source, batch)))
            times.append(time.perf_counter() - began)
        return times

    def scores(self, images: Sequence[bytes]) -> Scores:
        """Of images, so many together: decoded, encoded and compared with the cache."""
        prepared = [self._preparation.query(image) for image in images]
        pixels = torch.cat([each.pixels for each in prepared if each.pixels is not None])
        return self._cache.classify(self._encoder.encode_images(pixels))

    def _answer(self, images: Sequence[bytes]) -> None:
        scores = self.scores(images)
        scores.probabilities.tolist()
        scores.best(self._query.top_k)
        scores.neighbours(self._query.explain)
