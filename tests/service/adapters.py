"""Adapters to serve, published as `xmadapter train` publishes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from adapter.encoder import PixelEncoder
from adapter.networks import Networks
from indexer.adapters import Adapters, Record

ENCODER = PixelEncoder()
RECORD = Record(
    encoder=ENCODER.fingerprint,
    model=ENCODER.name,
    method="full",
    cache_version=2,
    shots=4,
    classes=2,
    seed=1,
    settings={"epochs": 5},
    metrics={"loss": 0.25},
    parameters=512,
    seconds=1.5,
    accuracy=0.75,
    serving=None,
    serving_accuracy=0.5,
    published=True,
    reason="better",
)


def publish(cache: Path, seed: int = 1, **facts: object) -> int:
    """Write an adapter into a cache's folder, by default to serve; its number."""
    adapters = Adapters(cache)
    networks = Networks.initial(ENCODER.width, 8, seed=seed)
    return adapters.write(networks, replace(RECORD, **facts)).number  # type: ignore[arg-type]


def point_to(cache: Path, number: int) -> None:
    """Have an adapter serve that is there already."""
    Adapters(cache).use(number)


def spoil(cache: Path, number: int) -> None:
    """Cut an adapter's file short."""
    path = Adapters(cache).paths(number)[0]
    path.write_bytes(path.read_bytes()[:-4])
