"""The image tower as it is served, many callers, and first calls."""

from __future__ import annotations

from collections.abc import Iterator

from adapter.encoder import load_encoder
from benchmarks.performance.encoding import callers, first_calls, tower_speed
from benchmarks.performance.group import Group, Setting
from benchmarks.performance.results import Found
from benchmarks.performance.row import Row

BATCHES = (1, 16, 64)
VIT_BATCHES = (1, 16)
VIT = ("ViT-B-32", "random")

SMALL = tuple(
    Row(f"encoder: the shipped model, batch {batch}", "images/s", "higher") for batch in BATCHES
)
LARGE = tuple(
    Row(f"encoder: ViT-B/32, batch {batch}", "images/s", "higher") for batch in VIT_BATCHES
)
SMALL_COSINE = Row(
    "encoder: lowest cosine with float32, the shipped model", "cosine", "higher", "ours >= 0.999"
)
LARGE_COSINE = Row(
    "encoder: lowest cosine with float32, ViT-B/32", "cosine", "higher", "ours >= 0.999"
)
CALLERS = Row("batching: 64 callers without HTTP, against batches of one", "requests/s", "higher")
FIRST = Row("batching: the first call of a size after ready, against later ones", "ms", "lower")
ROWS = (*SMALL, SMALL_COSINE, *LARGE, LARGE_COSINE, CALLERS, FIRST)


def measure(setting: Setting) -> Iterator[Found]:
    """Both models, then the engine with the shipped one."""
    repeats, seconds = (1, 0.05) if setting.quick else (3, 0.3)
    for model, rows, cosine, batches in (
        ((), SMALL, SMALL_COSINE, BATCHES),
        (VIT, LARGE, LARGE_COSINE, VIT_BATCHES),
    ):
        if setting.quick and model:
            yield from (row.not_run("too long for --quick") for row in (*rows, cosine))
            continue
        speed = tower_speed(
            setting.photographs, *model, batches=batches, repeats=repeats, seconds=seconds
        )
        for row, rate in zip(rows, speed.rates, strict=True):
            yield row.measured(rate.ours, rate.theirs, "theirs: open_clip in float32")
        yield cosine.measured([speed.cosine], note="over the photographs")
    yield from _batching(setting)


def _batching(setting: Setting) -> Iterator[Found]:
    repeats, seconds = (1, 0.2) if setting.quick else (3, 1.5)
    found = callers(
        setting.folder / "callers",
        load_encoder(device="cpu"),
        setting.photographs,
        seconds=seconds,
        repeats=repeats,
    )
    note = "decoding included; a goal of 5 times is set for a GPU alone"
    yield CALLERS.measured(found.together, found.alone, note)
    first = first_calls(setting.folder / "first", load_encoder(device="cpu"))
    sizes = ", ".join(str(each.images) for each in first)
    yield FIRST.measured(
        [each.first for each in first],
        [each.later for each in first],
        f"a run for each of {sizes} images",
    )


GROUP = Group("encoder", 40, ROWS, measure)
