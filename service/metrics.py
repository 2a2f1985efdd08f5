"""What can be watched: Prometheus metrics, in a registry of the application's own.

They are the service's: where it has several workers, each counts in files that all of them read,
and any of them answers for all.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

MODES: dict[str, Literal["livesum", "livemax"]] = {"sum": "livesum", "max": "livemax"}


class Watched(NamedTuple):
    """A value at this moment."""

    name: str
    help: str
    value: float


class Part(NamedTuple):
    """A worker's part of a value.

    Attributes:
        value: at this moment, in this worker.
        across: how the workers' values make the service's.
    """

    value: Watched
    across: Literal["sum", "max"] = "sum"


class _Collector(Collector):
    """Prometheus's way of asking for values."""

    def __init__(self, read: Callable[[], Iterable[Watched]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """All values, as gauges."""
        return [GaugeMetricFamily(each.name, each.help, each.value) for each in self._read()]


def share(folder: Path, worker: int) -> None:
    """Have what is counted in this process from now on be one worker's part.

    A worker goes on with what the one before it, of the same number, had counted.

    Args:
        folder: that all workers of the service have for this alone.
        worker: number of this one.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
        process_identifier=lambda: worker
    )


class Metrics:
    """All metrics of one application.

    Args:
        shared: the folder of `share`, where that was called.
    """

    def __init__(self, shared: Path | None = None) -> None:
        self._shared = shared
        self._whole: list[Callable[[], Iterable[Watched]]] = []
        self._parts: list[Callable[[], Iterable[Part]]] = []
        self._gauges: dict[str, Gauge] = {}
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "xmadapter_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "xmadapter_request_seconds",
            "From a request's first byte to its answer's last.",
            ["method", "route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._batch = Histogram(
            "xmadapter_batch_images",
            "Images encoded together.",
            buckets=IMAGES,
            registry=self.registry,
        )
        self._refit = Histogram(
            "xmadapter_refit_seconds",
            "Time to fit the head's numbers.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._refit_failures = Counter(
            "xmadapter_refit_failures", "Fits that failed.", registry=self.registry
        )

    def watch(self, read: Callable[[], Iterable[Watched]]) -> None:
        """Show values that any worker has of the whole service, taken when they are asked for."""
        self._whole.append(read)

    def watch_parts(self, read: Callable[[], Iterable[Part]]) -> None:
        """Show values that each worker has a part of, the others' as of their last `publish`."""
        self._parts.append(read)

    def publish(self) -> None:
        """Show the other workers the parts that this one has."""
        for (name, text, value), across in (part for read in self._parts for part in read()):
            gauge = self._gauges.get(name)
            if gauge is None:
                gauge = self._gauges[name] = Gauge(
                    name, text, registry=None, multiprocess_mode=MODES[across]
                )
            gauge.set(value)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def batch(self, images: int) -> None:
        """Count a batch."""
        if images:
            self._batch.observe(images)

    def refit(self, seconds: float) -> None:
        """Count a fit."""
        self._refit.observe(seconds)

    def refit_failed(self) -> None:
        """Count a fit that failed."""
        self._refit_failures.inc()

    def text(self) -> bytes:
        """All metrics, in Prometheus's text format."""
        whole = _text(_Collector(lambda: (each for read in self._whole for each in read())))
        if self._shared is not None:
            self.publish()
            return self._counted_by_all(self._shared) + whole
        parts = _Collector(lambda: (part.value for read in self._parts for part in read()))
        return generate_latest(self.registry) + _text(parts) + whole

    def _counted_by_all(self, folder: Path) -> bytes:
        collector: Collector = MultiProcessCollector(  # type: ignore[no-untyped-call]
            None, path=str(folder)
        )
        while True:
            try:
                return _text(collector)
            except struct.error:
                # A worker is making one of its files just now.
                continue


def _text(collector: Collector) -> bytes:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry)
