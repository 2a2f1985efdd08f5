"""The service beside others over HTTP, and beside the same work called directly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from adapter.encoder import load_encoder
from benchmarks.performance import http, peers
from benchmarks.performance.figures import Curve
from benchmarks.performance.group import Group, Setting
from benchmarks.performance.http import Saturation, Times
from benchmarks.performance.http_caches import taught_features, taught_pictures
from benchmarks.performance.http_direct import Direct
from benchmarks.performance.http_servers import Form, Server, started
from benchmarks.performance.load import GRACE_SECONDS
from benchmarks.performance.peers_process import Running
from benchmarks.performance.results import Found
from benchmarks.performance.row import Row

VIT = ("ViT-B-32", "random")
OURS, OURS_2 = "ours, 1 worker", "ours, 2 workers"
PLAIN, PLAIN_2 = "plain FastAPI", "plain FastAPI, 2 processes"
LITSERVE, INFINITY = "LitServe", "infinity"
OURS_VIT, OURS_FP32 = "ours, ViT-B/32", "ours, ViT-B/32 in fp32"
VIT_CLASSES = 20
MISSING = "run make bench-peers"
CHARTED = (OURS, OURS_2, PLAIN, LITSERVE)
LOADS = (0.3, 0.7, 1.0)
QUICK = Times(rounds=1, seconds=1.0, warm=0.2)
FULL = Times(rounds=3, seconds=1.5, warm=0.5)
FULL_VIT = Times(rounds=2, seconds=3.5, warm=1.0)
"""ViT-B/32 answers few requests a second here: a shorter load would be a handful of batches."""

PATIENT = ("--max-wait", "30")
"""For ViT-B/32, of which 64 callers wait longer than a service lets them by default. It would turn
some of them away, where the peer keeps all of them waiting."""


@dataclass(frozen=True)
class Rivals:
    """A server of ours and one of theirs, and what is held to what.

    Attributes:
        ours: name of ours.
        theirs: of theirs.
        rate: answers a second with 64 callers.
        p99: ms of the same.
        equal: p99 of both in an open loop at 70 % of what theirs can do; None where only the
            most is compared.
    """

    ours: str
    theirs: str
    rate: Row
    p99: Row
    equal: Row | None

    @property
    def rows(self) -> tuple[Row, ...]:
        """All of them."""
        return (self.rate, self.p99) if self.equal is None else (self.rate, self.p99, self.equal)


def _rivals(ours: str, theirs: str, named: str, times: str, *, equal: bool = True) -> Rivals:
    part = f"{http.PART_OF_PEAK:.0%}"
    return Rivals(
        ours,
        theirs,
        Row(f"HTTP: requests/s against {named}", "requests/s", "higher", f"ratio >= {times}"),
        Row(f"HTTP: p99 of {http.CALLERS} callers against {named}", "ms", "lower", "ratio >= 1"),
        Row(f"HTTP: p99 at {part} of the peak of {named}", "ms", "lower", "ratio >= 1")
        if equal
        else None,
    )


SMALL = (
    _rivals(OURS, PLAIN, "plain FastAPI", "3"),
    _rivals(OURS_2, PLAIN_2, "plain FastAPI, 2 processes each", "3", equal=False),
    _rivals(OURS, LITSERVE, "LitServe", "1.5"),
    _rivals(OURS_2, LITSERVE, "LitServe, ours with 2 workers", "1.5", equal=False),
)
LARGE = (
    _rivals(OURS_VIT, INFINITY, "infinity", "1.2"),
    _rivals(OURS_FP32, INFINITY, "infinity, both in fp32", "1.2", equal=False),
)
IDLE = Row(
    "HTTP: one /classify on an idle service, against decode, encode and head called directly",
    "ms",
    "lower",
    "difference <= 1.5",
)
PROCESSOR = Row(
    "HTTP: processor time a request at saturation, against the same work called directly",
    "ms",
    "lower",
    "ratio <= 1.25",
)
ROWS = (*(row for rivals in (*SMALL, *LARGE) for row in rivals.rows), IDLE, PROCESSOR)


def measure(setting: Setting) -> Iterator[Found]:
    """The shipped model first, then ViT-B/32 against infinity."""
    yield from small(setting, QUICK if setting.quick else FULL)
    if setting.quick:
        yield from (row.not_run("too long for --quick") for pair in LARGE for row in pair.rows)
        return
    yield from large(setting, FULL_VIT)


def small(setting: Setting, times: Times) -> Iterator[Found]:
    """All that serve the shipped model, on one small cache."""
    images = setting.photographs
    encoder = load_encoder(device="cpu")
    cache = taught_pictures(setting.folder / "small", encoder)
    starts = {OURS: peers.ours(cache), PLAIN: peers.plain(cache)}
    if not setting.quick:
        starts |= {
            OURS_2: peers.ours(cache, "--workers", "2"),
            PLAIN_2: peers.plain(cache, workers=2),
        }
        if peers.installed("litserve"):
            starts[LITSERVE] = peers.litserve(cache)
    with started({name: (start, "raw") for name, start in starts.items()}, images) as servers:
        most = http.saturations(servers, times)
        yield from _compared(SMALL, servers, most, times, setting.quick)
        direct = Direct(cache, encoder)
        try:
            found = http.alone(servers[OURS], direct, images, times)
            yield IDLE.measured(found.service, found.direct)
            spent = http.processor(servers[OURS], direct, images, times)
            said = f"1 worker, batches of {spent.batch:.1f} on the average"
            yield PROCESSOR.measured(spent.service, spent.direct, said)
        finally:
            direct.close()
        charted = [name for name in CHARTED if name in servers]
        for name in charted:
            yield finite(most[name].point())
            yield finite(http.curve(servers[name], most[name].peak, times, LOADS))


def large(setting: Setting, times: Times) -> Iterator[Found]:
    """ViT-B/32 of random weights: ours, which classifies, and infinity, which does not."""
    if not peers.installed("infinity"):
        yield from (row.not_run(MISSING) for pair in LARGE for row in pair.rows)
        return
    encoder = load_encoder(*VIT, device="cpu")
    cache = taught_features(setting.folder / "large", encoder, VIT_CLASSES)
    options = ("--model", VIT[0], "--pretrained", VIT[1], *PATIENT)
    starts: dict[str, tuple[AbstractContextManager[Running], Form]] = {
        OURS_VIT: (peers.ours(cache, *options), "raw"),
        OURS_FP32: (peers.ours(cache, *options, "--precision", "fp32"), "raw"),
        INFINITY: (peers.infinity(), "infinity"),
    }
    with started(starts, setting.photographs) as servers:
        most = http.saturations(servers, times)
        yield from _compared(LARGE, servers, most, times, setting.quick)


def _compared(
    pairs: Sequence[Rivals],
    servers: Mapping[str, Server],
    most: Mapping[str, Saturation],
    times: Times,
    quick: bool,
) -> Iterator[Row]:
    for pair in pairs:
        if not (pair.ours in servers and pair.theirs in servers):
            reason = "too long for --quick" if quick else MISSING
            yield from (row.not_run(reason) for row in pair.rows)
            continue
        ours, theirs = most[pair.ours], most[pair.theirs]
        said = _failures(ours, theirs)
        yield pair.rate.measured(ours.rates, theirs.rates, said)
        yield pair.p99.measured(bounded(ours.p99), bounded(theirs.p99), said)
        if pair.equal is not None and not theirs.peak:
            yield pair.equal.not_run(f"{pair.theirs} gave no good answer")
        elif pair.equal is not None:
            found = http.equal_load(servers[pair.ours], servers[pair.theirs], theirs.peak, times)
            yield pair.equal.measured(
                bounded(found.ours),
                bounded(found.theirs),
                f"an open loop of {found.offered:.0f} requests a second",
            )


def _failures(ours: Saturation, theirs: Saturation) -> str:
    if not (ours.failed or theirs.failed):
        return ""
    return f"without a good answer: {ours.failed} of ours, {theirs.failed} of theirs"


def bounded(milliseconds: Sequence[float]) -> list[float]:
    """Latencies in which a request without a good answer counts with the longest wait."""
    return [min(each, 1000 * GRACE_SECONDS) for each in milliseconds]


def finite(curve: Curve) -> Curve:
    """A curve of such latencies."""
    points = tuple(
        replace(point, p50=bounded([point.p50])[0], p99=bounded([point.p99])[0])
        for point in curve.points
    )
    return replace(curve, points=points)


GROUP = Group("http", 245, ROWS, measure)
