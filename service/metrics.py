"""What can be watched: Prometheus metrics, in a registry of the application's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Watched(NamedTuple):
    """A value at this moment."""

    name: str
    help: str
    value: float


class _Collector(Collector):
    """Prometheus's way of asking for values."""

    def __init__(self, read: Callable[[], Iterable[Watched]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """All values, as gauges."""
        return [GaugeMetricFamily(*watched) for watched in self._read()]


class Metrics:
    """All metrics of one application."""

    def __init__(self) -> None:
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
        """Show the values of `read`, taken when the metrics are asked for."""
        self.registry.register(_Collector(read))

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
        return generate_latest(self.registry)
