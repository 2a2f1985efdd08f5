"""The head against the dense formula, and against the time that the encoder takes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from adapter.encoder import Encoder, load_encoder
from benchmarks.performance.group import Group, Setting
from benchmarks.performance.heads import against_dense, alone
from benchmarks.performance.results import Found
from benchmarks.performance.row import Row

SHOTS = 16_000
SEED = 7
BATCH = 32
"""Images of a batch whose encoding the head is held against."""

FULL = Row(
    "head: 16,000 keys, 1,000 classes, 64 queries, full, against the dense formula",
    "ms",
    "lower",
    "ratio >= 2.5",
)
PAPER = Row("head: the same, paper, against the dense formula", "ms", "lower", "ratio >= 2.5")
SHARE = Row(
    f"head: full, of {BATCH} images, against their encoding by ViT-B/32",
    "ms",
    "lower",
    "ratio <= 0.05",
)


def measure(setting: Setting) -> Iterator[Found]:
    """Both methods, then the encoder."""
    shots, repeats = (2_000, 2) if setting.quick else (SHOTS, 30)
    note = "theirs is Tip-Adapter's one cache alone; ours has both, and sorts classes and shots"
    full = against_dense("full", SEED, repeats, shots=shots)
    yield FULL.measured(full.ours, full.theirs, note)
    paper = against_dense("paper", SEED, repeats, shots=shots)
    yield PAPER.measured(paper.ours, paper.theirs, note)
    if setting.quick:
        yield SHARE.not_run("too long for --quick")
        return
    encoder = load_encoder("ViT-B-32", "random", device="cpu")
    encoder.warm(BATCH)
    ours = alone("full", SEED, 5, shots=shots, queries=BATCH)
    yield SHARE.measured(ours, encoding_ms(encoder, BATCH, 5))


def encoding_ms(encoder: Encoder, batch: int, repeats: int) -> list[float]:
    """Milliseconds of a batch of random pixels."""
    pixels = torch.randint(0, 256, (batch, 3, *encoder.preprocessing.size), dtype=torch.uint8)
    encoder.encode_images(pixels)
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        encoder.encode_images(pixels)
        found.append(1000 * (time.perf_counter() - began))
    return found


GROUP = Group("head", 25, (FULL, PAPER, SHARE), measure)
