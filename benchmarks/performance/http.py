"""The service beside others, over HTTP, on this machine: by turns, in rounds of one run.

All servers are there at once, and all but the one that is measured are paused: an idle one that
polls takes nothing from its rival. The client is a process of its own on the same cores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.performance.figures import Curve, Point
from benchmarks.performance.http_direct import Direct
from benchmarks.performance.http_servers import Server
from benchmarks.performance.load import Load

CALLERS = 64
PART_OF_PEAK = 0.7
LOADS = (0.25, 0.5, 0.7, 0.85, 1.0)
"""Rates of a curve, as parts of the server's own peak."""


@dataclass(frozen=True)
class Times:
    """How long loads last.

    Attributes:
        rounds: how often each server has its turn.
        seconds: of a load, that count.
        warm: of a load, before.
    """

    rounds: int = 3
    seconds: float = 2.0
    warm: float = 0.7


@dataclass(frozen=True)
class Saturation:
    """What a server does at most: rounds of a closed loop.

    Attributes:
        name: of the server.
        loads: a round each.
    """

    name: str
    loads: tuple[Load, ...]

    @property
    def rates(self) -> tuple[float, ...]:
        """Good answers a second, round by round."""
        return tuple(load.rate for load in self.loads)

    @property
    def peak(self) -> float:
        """Their median."""
        return median(self.rates)

    @property
    def p99(self) -> tuple[float, ...]:
        """Milliseconds within which 99 of 100 had their answer, round by round."""
        return tuple(load.milliseconds(0.99) for load in self.loads)

    @property
    def processor(self) -> tuple[float, ...]:
        """The server's processor milliseconds for each answer, round by round."""
        return tuple(load.server_milliseconds or 0.0 for load in self.loads)

    @property
    def failed(self) -> int:
        """Requests without a good answer."""
        return sum(load.failed for load in self.loads)

    def point(self) -> Curve:
        """For the chart: the round in the middle."""
        load = sorted(self.loads, key=lambda each: each.rate)[len(self.loads) // 2]
        return Curve(self.name, "closed", (_point(load, load.connections),))


@dataclass(frozen=True)
class EqualLoad:
    """Two servers under the same arrivals: a part of what the peer does at most.

    Attributes:
        offered: requests a second.
        ours: p99 in milliseconds, round by round; infinite where one of 100 had no good answer.
        theirs: likewise.
    """

    offered: float
    ours: tuple[float, ...]
    theirs: tuple[float, ...]


@dataclass(frozen=True)
class Alone:
    """One caller on an idle service, and the same work called directly, by turns.

    Attributes:
        service: median milliseconds of a request, round by round.
        direct: median milliseconds of the same work.
    """

    service: tuple[float, ...]
    direct: tuple[float, ...]


@dataclass(frozen=True)
class Processor:
    """Processor time at saturation, and of the same work called directly, by turns.

    Attributes:
        batch: images that the service encoded together, on the average; those of the direct call.
        service: milliseconds of all of the service's processes for each answer, round by round.
        direct: milliseconds of an image.
    """

    batch: float
    service: tuple[float, ...]
    direct: tuple[float, ...]


def saturations(servers: Mapping[str, Server], times: Times) -> dict[str, Saturation]:
    """What each does at most, all having their turn in each round; a first one does not count."""
    found: dict[str, list[Load]] = {name: [] for name in servers}
    for server in servers.values():
        server.closed(CALLERS, times.warm, times.warm)
    for _ in range(times.rounds):
        for name, server in servers.items():
            found[name].append(server.closed(CALLERS, times.seconds, times.warm))
    return {name: Saturation(name, tuple(loads)) for name, loads in found.items()}


def equal_load(ours: Server, peer: Server, peak: float, times: Times) -> EqualLoad:
    """Both at `PART_OF_PEAK` of the peer's peak; the same arrivals for both in each round."""
    rate = PART_OF_PEAK * peak
    found: dict[str, list[float]] = {ours.name: [], peer.name: []}
    for seed in range(times.rounds):
        for server in (ours, peer):
            load = server.open(rate, times.seconds, times.warm, seed)
            found[server.name].append(load.milliseconds(0.99))
    return EqualLoad(rate, tuple(found[ours.name]), tuple(found[peer.name]))


def curve(server: Server, peak: float, times: Times, loads: Sequence[float] = LOADS) -> Curve:
    """Latency at rising rates, up to the peak."""
    return Curve(server.name, "open", tuple(_points(server, peak, times, loads)))


def alone(server: Server, direct: Direct, images: Sequence[bytes], times: Times) -> Alone:
    """One caller at a time, against the same work in this process."""
    service, called = [], []
    for _ in range(times.rounds):
        service.append(server.closed(1, times.seconds / 2, times.warm).milliseconds(0.5))
        called.append(direct.cost(images, 1, times.seconds / 2).milliseconds)
    return Alone(tuple(service), tuple(called))


def processor(server: Server, direct: Direct, images: Sequence[bytes], times: Times) -> Processor:
    """At saturation, against the same work in this process at the same size of batches."""
    service, called, sizes = [], [], []
    for _ in range(times.rounds):
        images_before, batches_before = server.batches()
        load = server.closed(CALLERS, times.seconds, times.warm)
        images_after, batches_after = server.batches()
        size = (images_after - images_before) / max(batches_after - batches_before, 1)
        sizes.append(size)
        service.append(load.server_milliseconds or 0.0)
        cost = direct.cost(images, max(round(size), 1), times.seconds)
        called.append(cost.processor_milliseconds)
    return Processor(median(sizes), tuple(service), tuple(called))


def _points(server: Server, peak: float, times: Times, loads: Sequence[float]) -> Iterator[Point]:
    for part in loads:
        load = server.open(part * peak, times.seconds, times.warm)
        yield _point(load, part * peak)


def _point(load: Load, offered: float) -> Point:
    return Point(offered, load.rate, load.milliseconds(0.5), load.milliseconds(0.99), load.failed)
