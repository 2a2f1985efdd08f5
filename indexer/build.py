"""From a source of labelled images to a cache on disk, in one go or continued.

    read, hash, decode, crop (threads) -> encode (batches) -> commit (a transaction a class)

A new cache grows in a work folder beside its place and is moved there when it is complete, so an
interrupted build leaves no half cache; building again continues in the work folder. A cache that
is there already is extended in place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from adapter.ahead import in_order
from adapter.datasets.sources import Sample, read_source
from adapter.encoder import Encoder
from adapter.files import sync_folder
from adapter.fit import Method
from adapter.images import ImageError, ImageLimits, open_image, thumbnail
from adapter.keys import CROPS, VIEWS, crops, key_of_views
from adapter.resizing import scaled_short_edge
from indexer.cache import Cache, NewShot
from indexer.errors import BadImages, LabelError, PromptError, SourceError
from indexer.index import IndexKind
from indexer.labels import clean_caption, validate_label
from indexer.reader import FILE
from indexer.store import Store

BATCH = 64


@dataclass(frozen=True)
class BadImage:
    """An image that could not be used: where it is, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Attributes:
        added: new shots.
        skipped: images that are shots already, of an earlier build or twice in the source.
        bad: images that could not be used.
    """

    added: int
    skipped: int
    bad: tuple[BadImage, ...]


def build(
    source: Path | Sequence[Sample],
    cache: Path,
    encoder: Encoder,
    *,
    views: int = VIEWS,
    batch: int = BATCH,
    strict: bool = False,
    progress: bool = True,
    method: Method | None = None,
    templates: Sequence[str] | None = None,
    index: IndexKind = "auto",
    split: str | None = None,
    limits: ImageLimits | None = None,
    threads: int | None = None,
    scaled: bool = False,
) -> BuildReport:
    """Encode labelled images into a cache, and fit its numbers.

    Args:
        source: what `read_source` takes, or samples.
        cache: the cache's folder; what is in it already stays.
        encoder: of the features.
        views: random crops that an image's key is the mean of; 1 is the plain centre crop.
        batch: images that are encoded and committed together.
        strict: stop at the first bad image.
        progress: show a progress bar on stderr, if that is a terminal.
        method, templates, index: as in `Cache.open`; only for a new cache may templates differ.
        split: as in `read_source`.
        limits: of an image's size.
        threads: that read and decode; one a core by default.
        scaled: large JPEGs may be decoded at a smaller scale, as in `scaled_short_edge`.

    Raises:
        SourceError: no images, none that can be used, or a list that cannot be read.
        BadImages: an image cannot be used, and `strict` is true.
        CacheError: see `Cache.open`.
    """
    if views < 1 or batch < 1:
        raise ValueError(f"expected at least one view and a batch of one, got {views} and {batch}")
    limits = limits or ImageLimits()
    samples = (
        read_source(source, split=split, max_bytes=limits.max_bytes)
        if isinstance(source, Path)
        else source
    )
    work = cache if Store.exists(cache) else _work_folder(cache)
    # Nothing is searched meanwhile.
    with Cache.open(work, encoder, method=method, templates=templates, index="numpy") as opened:
        short_edge = scaled_short_edge(encoder.preprocessing) if scaled else None
        builder = _Builder(opened, views, batch, strict, limits, short_edge)
        builder.run(samples, threads or os.cpu_count() or 1, progress)
        empty = opened.info().shots == 0
        if not empty:
            opened.refit()
    report = builder.report
    if empty:
        if work != cache:
            shutil.rmtree(work)
        first = report.bad[0]
        raise SourceError(
            f"none of {len(samples)} images can be used; the first is {first.name}: {first.reason}"
        )
    if index == "faiss-ivf":
        # Trains its lists, and leaves them beside the store.
        Cache.open(work, encoder, index=index).close()
    if work != cache:
        _publish(work, cache)
    return report


@dataclass(frozen=True)
class _Prepared:
    """An image on its way: `pixels` are its crops (v, 3, H, W)."""

    sample: Sample
    sha256: str
    pixels: Tensor
    thumbnail: bytes


class _Known:
    """An image that is a shot of its class already."""


_Outcome = _Prepared | _Known | BadImage


@dataclass
class _Builder:
    """The pipeline, and what it has done so far."""

    cache: Cache
    views: int
    batch: int
    strict: bool
    limits: ImageLimits
    short_edge: int | None
    added: int = 0
    skipped: int = 0
    bad: list[BadImage] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)

    @property
    def report(self) -> BuildReport:
        return BuildReport(self.added, self.skipped, tuple(self.bad))

    def run(self, samples: Sequence[Sample], threads: int, progress: bool) -> None:
        """Take all samples, in their order."""
        waiting: list[_Prepared] = []
        # None: shown on a terminal only.
        bar = tqdm(total=len(samples), unit="image", disable=None if progress else True)
        # Closed at once, and with it the threads, when an error ends the loop.
        prepared = in_order(self._prepare, samples, threads, ahead=self.batch)
        with bar, contextlib.closing(prepared) as outcomes:
            for outcome in map(self._told_apart, outcomes):
                bar.update()
                if isinstance(outcome, _Known):
                    self.skipped += 1
                elif isinstance(outcome, BadImage):
                    self._reject(outcome)
                else:
                    waiting.append(outcome)
                if len(waiting) == self.batch:
                    self._commit(waiting)
                    waiting = []
        if waiting:
            self._commit(waiting)

    def _prepare(self, sample: Sample) -> _Outcome:
        """Read and crop one sample. On any thread."""
        try:
            data = sample.read()
            validate_label(sample.label)
            clean_caption(sample.caption)
            sha256 = hashlib.sha256(data).hexdigest()
            present = self.cache.find(sha256)
            if present is not None:
                return _known(sample, present[1])
            image = open_image(data, self.limits, self.short_edge)
            pixels = crops(image, self.cache.encoder.preprocessing, self.views, sha256)
            return _Prepared(sample, sha256, pixels, thumbnail(image))
        except (OSError, ImageError, LabelError, PromptError) as error:
            return BadImage(sample.name, str(error))

    def _told_apart(self, outcome: _Outcome) -> _Outcome:
        """The same, unless these bytes came before in this run."""
        if not isinstance(outcome, _Prepared):
            return outcome
        label = self.seen.get(outcome.sha256)
        if label is not None:
            return _known(outcome.sample, label)
        self.seen[outcome.sha256] = outcome.sample.label
        return outcome

    def _reject(self, image: BadImage) -> None:
        if self.strict:
            raise BadImages(image.name, image.reason)
        self.bad.append(image)

    def _commit(self, batch: Sequence[_Prepared]) -> None:
        """Encode a batch, and add it to the cache class by class."""
        pixels = torch.cat([each.pixels for each in batch])
        features = torch.cat(
            [
                self.cache.encoder.encode_images(pixels[start : start + CROPS])
                for start in range(0, len(pixels), CROPS)
            ]
        )
        views = features.cpu().view(len(batch), self.views, -1)
        keys = key_of_views(views)
        shots: dict[str, list[NewShot]] = {}
        for each, key, own in zip(batch, keys, views, strict=True):
            kept = own if self.views > 1 else None
            shot = NewShot(key, each.sha256, each.sample.caption, each.thumbnail, kept)
            shots.setdefault(each.sample.label, []).append(shot)
        for label, group in shots.items():
            self.added += sum(self.cache.add(label, group).created)


def _known(sample: Sample, label: str) -> _Outcome:
    if label == sample.label:
        return _Known()
    return BadImage(sample.name, f"the same image is labelled {label!r}, got {sample.label!r}")


def _work_folder(cache: Path) -> Path:
    """Where a new cache grows: on the same disk, so that moving it is one step."""
    # A folder that is there may be a disk of its own (a container's volume).
    return cache / "partial" if cache.is_dir() else cache.with_name(f"{cache.name}.partial")


def _publish(work: Path, cache: Path) -> None:
    """Move a complete cache to its place. The store comes last: with it, the cache is there."""
    if not cache.is_dir():
        work.replace(cache)
    else:
        for path in sorted(work.iterdir(), key=lambda path: path.name == FILE):
            path.replace(cache / path.name)
        work.rmdir()
        sync_folder(cache)
    sync_folder(cache.parent)
