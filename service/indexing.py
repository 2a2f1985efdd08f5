"""What the command line does to caches without a service: build, look, prepare the demo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapter.encoder import Encoder, EncoderError, load_encoder
from adapter.images import ImageLimits
from indexer.build import BuildReport, build
from indexer.demo import prepare_demo
from indexer.errors import CacheError, IndexUnavailable, SourceError
from indexer.info import cache_info
from indexer.store import Store
from service.hints import notice
from service.lock import LOCK_FILE, CacheLocked, build_lock
from service.settings import Settings, SettingsError, read_templates

FAILURES = (
    CacheError,
    CacheLocked,
    EncoderError,
    IndexUnavailable,
    OSError,
    SettingsError,
    SourceError,
)
"""What can go wrong here and says what to do."""


def build_index(
    source: Path,
    cache: Path,
    settings: Settings,
    *,
    views: int,
    batch: int,
    split: str | None,
    strict: bool,
    progress: bool,
) -> BuildReport:
    """Build a cache, or extend one; see `indexer.build.build`, which says what it raises too.

    Raises:
        CacheLocked: another build has this folder.
    """
    templates = read_templates(settings.templates)
    with _locked(cache, "xmadapter index build"):
        return build(
            source,
            cache,
            encoder_of(settings),
            views=views,
            batch=batch,
            split=split,
            strict=strict,
            progress=progress,
            method=settings.method,
            templates=templates,
            index=settings.index,
            limits=ImageLimits(settings.max_image_bytes, settings.max_image_pixels),
            threads=settings.decode_threads,
            scaled=settings.scaled_decoding,
        )


def index_facts(cache: Path) -> dict[str, Any]:
    """What is in a cache, as plain values."""
    info = cache_info(cache)
    facts = {name: value for name, value in asdict(info).items() if value is not None}
    facts["path"] = str(info.path)
    facts["templates"] = list(info.templates)
    about = notice(info.model)
    return facts | ({"notice": about} if about else {})


def demo_exists(cache: Path, images: Path) -> bool:
    """Whether there is nothing left to make; told without loading a model."""
    return Store.exists(cache) and all((images / part).exists() for part in ("test", "teach"))


def make_demo(settings: Settings, images: Path) -> None:
    """Make the demo's cache and images, each where it is missing."""
    with _locked(settings.cache, "xmadapter demo"):
        prepare_demo(settings.cache, images, encoder_of(settings))


def encoder_of(settings: Settings) -> Encoder:
    """The model that the settings name. Raises EncoderError."""
    return load_encoder(
        settings.model,
        settings.pretrained,
        device=settings.device,
        precision=settings.precision,
        cache_dir=settings.weights_dir,
    )


@contextmanager
def _locked(cache: Path, purpose: str) -> Iterator[None]:
    """The lock of a cache that may not be there yet; without success no empty folder stays."""
    try:
        with build_lock(cache, purpose):
            yield
    except CacheLocked:
        raise
    except BaseException:
        if [path.name for path in cache.iterdir()] == [LOCK_FILE]:
            (cache / LOCK_FILE).unlink()
            cache.rmdir()
        raise
