"""What this machine could do each stage in, with nothing around it.

A limit is the shortest of its repeats: what can be done at all, which no median of ours flatters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torchvision.io import ImageReadMode, decode_jpeg

from adapter.weights import DEFAULT_MODEL, create_towers, find_weights
from benchmarks.performance.bare import Kind, bare
from benchmarks.performance.load import Target, closed_loop, post

SIDE = 1024
"""Of the matrices whose product shows what the processor can do at most."""


def decode_ms(photographs: Sequence[bytes], repeats: int = 3) -> float:
    """Milliseconds a photograph of libjpeg-turbo's decoding alone, on this thread."""
    buffers = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in photographs]

    def run() -> None:
        for buffer in buffers:
            decode_jpeg(buffer, mode=ImageReadMode.RGB)

    return _least_ms(run, repeats) / len(buffers)


def peak_gflops(dtype: torch.dtype, repeats: int = 10) -> float:
    """10^9 operations a second of a product of square matrices, with torch's present threads."""
    left, right = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
    return 2 * SIDE**3 / 1e6 / _least_ms(lambda: left @ right, repeats)


def image_gflop(model: str = DEFAULT_MODEL, pretrained: str | None = None) -> float:
    """10^9 operations of a model's image tower for one image. Raises EncoderError."""
    # Here, since it loads Triton, whose bindings print a page when the process ends.
    from torch.utils.flop_counter import FlopCounterMode

    weights = find_weights(model, pretrained, None)
    # The tower as its authors wrote it: what it is served as does the same, out of sight.
    towers, _ = create_towers(weights, torch.device("cpu"), None)
    pixels = torch.zeros(1, 3, *_size(towers))
    # Attention as one operation would not be counted.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            towers.encode_image(pixels)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    return float(counter.get_total_flops()) / 1e9


def product_ms(keys: int, width: int, queries: int, repeats: int = 20) -> float:
    """Milliseconds of the one product that an exact head needs: queries with all keys."""
    left, right = torch.randn(queries, width), torch.randn(keys, width)
    return _least_ms(lambda: left @ right.T, repeats)


def http_ms(kind: Kind, photographs: Sequence[bytes], seconds: float) -> float:
    """Milliseconds until a bare server on this machine has answered one caller."""
    with bare(kind) as server:
        requests = [post(f"{server.url}/", data, "image/jpeg") for data in photographs]
        load = closed_loop(Target(f"{server.url}/", requests, server.pid), 1, seconds)
    return load.milliseconds(0.5)


def _least_ms(run: Callable[[], object], repeats: int) -> float:
    run()
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        found.append(1000 * (time.perf_counter() - began))
    return min(found)


def _size(towers: Any) -> tuple[int, int]:
    size = towers.visual.image_size
    return (size, size) if isinstance(size, int) else size
