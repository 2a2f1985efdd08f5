"""A CUDA device: head, image tower, and a service on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch

from adapter.encoder import load_encoder
from benchmarks.performance.gpu import Bench, encoder_rates, milliseconds
from benchmarks.performance.gpu_service import (
    PART,
    Effort,
    Served,
    add_latency,
    batch_calls,
    of_size,
    peak,
    service,
)
from benchmarks.performance.group import Group, Setting
from benchmarks.performance.growth import ADDS as MANY
from benchmarks.performance.growth import LARGE, SMALL, add_costs
from benchmarks.performance.results import Found
from benchmarks.performance.row import Row

NO_DEVICE = "no CUDA device"
MODEL, PRETRAINED = "ViT-B-32", "random"
WORKERS = 8
"""Half of the cores that the goals are set for; decoding takes the other half."""

HEAD = Row("GPU: head, 16,000 keys, 1,000 classes, 64 queries, full", "ms", "lower", "ours <= 0.3")
PAPER = Row("GPU: the same, paper", "ms", "lower", "ours <= 0.3")
MILLION = Row("GPU: head, 1,000,000 keys, exact, 64 queries, full", "ms", "lower", "ours <= 3")
ADDS = Row("GPU: an add in memory, at 100,000 shots against 1,000", "ms", "lower", "ratio <= 1")
ENCODER = Row(
    "GPU: image tower alone, ViT-B/32, bf16, pixels from the host",
    "images/s",
    "higher",
    "ours >= 30000",
)
RESIDENT = Row("GPU: the same, pixels on the device", "images/s", "higher")
PEAK = Row(
    f"GPU: /classify, raw 500x375 JPEGs, {WORKERS} workers", "requests/s", "higher", "ours >= 5000"
)
P99 = Row(f"GPU: p99 of these at {PART:.0%} of that", "ms", "lower", "ours <= 25")
ONE_WORKER = Row("GPU: /classify, raw 500x375 JPEGs, 1 worker", "requests/s", "higher")
BATCH = Row(f"GPU: /classify/batch, {WORKERS} workers", "images/s", "higher", "ours >= 10000")
CALLERS = Row(
    "GPU: 64 callers of 1 worker against --max-batch 1", "requests/s", "higher", "ratio >= 5"
)
ROWS = (HEAD, PAPER, MILLION, ADDS, ENCODER, RESIDENT, PEAK, P99, ONE_WORKER, BATCH, CALLERS)


def measure(setting: Setting) -> Iterator[Found]:
    """All rows, where there is a device."""
    if not torch.cuda.is_available():
        yield from (row.not_run(NO_DEVICE) for row in ROWS)
        return
    device = torch.device("cuda")
    yield from heads(device, setting.quick)
    yield from adds(device, setting)
    yield from towers(device, MODEL, PRETRAINED, setting.quick)
    torch.cuda.empty_cache()
    effort = Effort(seconds=1, rounds=1, shots=1_000) if setting.quick else Effort()
    yield from services(setting, effort, "--model", MODEL, "--pretrained", PRETRAINED)


def heads(device: torch.device, quick: bool) -> Iterator[Found]:
    """The head's rows; with few keys, in a quick run."""
    for row, keys, method, repeats in (
        (HEAD, 16_000, "full", 200),
        (PAPER, 16_000, "paper", 200),
        (MILLION, 1_000_000, "full", 50),
    ):
        count = 2_000 if quick else keys
        bench = Bench.of(count, 64, "full" if method == "full" else "paper", device)
        yield row.measured(milliseconds(bench.answer, device, 2 if quick else repeats))
        del bench


def adds(device: torch.device, setting: Setting) -> Iterator[Found]:
    """What an add costs as the cache grows."""
    sizes = (200, 2_000, 100) if setting.quick else (SMALL, LARGE, MANY)
    small, large = add_costs(setting.folder / "adds", *sizes, device=str(device))
    yield ADDS.measured(large.memory, small.memory, f"means of blocks of {sizes[2]:,} adds")


def towers(
    device: torch.device, model: str, pretrained: str | None, quick: bool
) -> Iterator[Found]:
    """The image tower's rows."""
    encoder = load_encoder(model, pretrained, device=str(device), precision="bf16")
    batch, batches, repeats = (4, 1, 1) if quick else (256, 20, 10)
    encoder.warm(batch)
    for row, staged in ((ENCODER, True), (RESIDENT, False)):
        rates = encoder_rates(encoder, batch, batches, repeats, staged=staged)
        yield row.measured(rates, note=f"batches of {batch}")


def services(setting: Setting, effort: Effort, *model: str) -> Iterator[Found]:
    """The rows of a service; three services are started, one after the other."""
    photographs = of_size(setting.photographs)
    encoder = load_encoder(model[1], model[3], device="cpu") if model else load_encoder()

    def started(*arguments: str) -> AbstractContextManager[tuple[str, int]]:
        return service(setting.folder, encoder, effort, *model, *arguments)

    with started("--workers", str(WORKERS)) as (url, pid):
        served = peak(url, pid, photographs, effort, effort.connections)
        yield PEAK.measured(served.rates, note=_said(served))
        add_latency(served, url, pid, photographs, effort)
        yield P99.measured(served.p99, note=_said(served))
        bulk = batch_calls(url, pid, photographs, effort)
        yield BATCH.measured(bulk.batch_rates, note=_said(bulk))
    with started() as (url, pid):
        alone = peak(url, pid, photographs, effort, effort.connections)
        yield ONE_WORKER.measured(alone.rates, note=_said(alone))
        together = peak(url, pid, photographs, effort, effort.callers)
    with started("--max-batch", "1") as (url, pid):
        single = peak(url, pid, photographs, effort, effort.callers)
    yield CALLERS.measured(together.rates, single.rates, note=_said(together))


def _said(served: Served) -> str:
    return f"{served.failed} requests failed" if served.failed else ""


GROUP = Group("gpu", 400, ROWS, measure)
