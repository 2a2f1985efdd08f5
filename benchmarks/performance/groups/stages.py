"""Where the time of one request goes, and how near each stage is to what the machine can do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from adapter.encoder import Encoder, load_encoder
from adapter.precision import chosen_dtype
from benchmarks.performance import limits, stages
from benchmarks.performance.figures import Budget
from benchmarks.performance.group import Group, Setting
from benchmarks.performance.http_caches import SHOTS, taught_pictures
from benchmarks.performance.results import Found
from benchmarks.performance.row import Row

VIT = ("ViT-B-32", "random")
NEAR = {
    stage: Row(f"stages: {stage}, a lone request, against the machine's limit", "ms", "lower")
    for stage in (stages.DECODE, stages.ENCODE, stages.HEAD, stages.OUTSIDE)
}
CLASSES = 12
"""Of the demonstration's cache."""


def measure(setting: Setting) -> Iterator[Found]:
    """The shipped model, and a ViT-B/32."""
    seconds = 0.5 if setting.quick else 4.0
    decode = limits.decode_ms(setting.photographs)
    bare = {
        "asyncio": limits.http_ms("asyncio", setting.photographs, seconds / 4),
        "starlette": limits.http_ms("starlette", setting.photographs, seconds / 4),
    }
    for name, model in (("the shipped model", ()), ("ViT-B/32", VIT)):
        if setting.quick and model:
            continue
        encoder = load_encoder(*model, device="cpu")
        cache = taught_pictures(setting.folder / name.replace("/", "-"), encoder)
        found = stages.measure(
            f"One photograph, {name}", cache, encoder, setting.photographs, seconds=seconds
        )
        limited = with_limits(found, _least(encoder, model, decode, **bare))
        if not model:
            yield from near(limited)
        yield limited


def near(found: Budget) -> Iterator[Row]:
    """Rows of the stages that have a limit; a ratio of 1 is as fast as the machine."""
    for part in found.parts:
        if part.name in NEAR and part.limit is not None:
            yield NEAR[part.name].measured([part.ms], [part.limit], f"theirs: {part.limit_is}")


def with_limits(found: Budget, least: dict[str, tuple[float, str]]) -> Budget:
    """A budget whose stages have their limits: ms, and what they are."""
    parts = tuple(
        replace(part, limit=least[part.name][0], limit_is=least[part.name][1])
        if part.name in least
        else part
        for part in found.parts
    )
    return replace(found, parts=parts)


def _least(
    encoder: Encoder, model: tuple[str, ...], decode: float, asyncio: float, starlette: float
) -> dict[str, tuple[float, str]]:
    dtype = chosen_dtype("auto", torch.device("cpu"))
    gflop, peak = limits.image_gflop(*model), limits.peak_gflops(dtype)
    kind = str(dtype).removeprefix("torch.")
    keys = CLASSES * SHOTS
    product = limits.product_ms(keys, encoder.width, 1)
    return {
        stages.DECODE: (decode, "libjpeg-turbo alone"),
        stages.ENCODE: (
            1000 * gflop / peak,
            f"{gflop:.2f} GFLOP at the {peak:,.0f} GFLOP/s of a {kind} matrix product",
        ),
        stages.HEAD: (product, f"the product with {keys} keys"),
        stages.OUTSIDE: (asyncio, "a bare asyncio server that answers with a constant"),
        stages.AROUND: (
            max(0.0, starlette - asyncio),
            "what a plain Starlette route takes beyond that",
        ),
    }


GROUP = Group("stages", 35, tuple(NEAR.values()), measure)
