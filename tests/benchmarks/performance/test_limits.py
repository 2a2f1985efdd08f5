"""What the machine could do at most, against what can be worked out, and bare servers."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest
import torch

from benchmarks.performance import limits
from benchmarks.performance.bare import ANSWER, bare
from benchmarks.performance.inputs import drawn


def test_every_limit_is_a_time_or_a_speed() -> None:
    assert 0 < limits.decode_ms(drawn(2, 64, 48)) < 100
    assert 0.01 < limits.peak_gflops(torch.float32, repeats=2) < 100_000
    assert 0 < limits.product_ms(keys=100, width=16, queries=4) < 100


# As their layers add up; one that is not counted would show.
@pytest.mark.parametrize(
    ("model", "gflop"), [("'xmadapter-small'", 0.089), ("'ViT-B-32', 'random'", 8.8)]
)
def test_the_operations_of_a_tower_are_counted(model: str, gflop: float) -> None:
    # In a process of its own: after counting, Triton's bindings print a page at the end.
    count = f"from benchmarks.performance.limits import image_gflop; print(image_gflop({model}))"
    found = subprocess.run([sys.executable, "-c", count], capture_output=True, check=True)
    assert float(found.stdout) == pytest.approx(gflop, rel=0.05)


@pytest.mark.parametrize("kind", ["asyncio", "starlette"])
def test_a_bare_server_answers_each_request_of_a_connection(kind: str) -> None:
    with (
        bare("asyncio" if kind == "asyncio" else "starlette") as server,
        httpx.Client(trust_env=False) as client,
    ):
        for size in (0, 200_000):
            found = client.post(f"{server.url}/classify", content=b"x" * size)
            assert (found.status_code, found.content) == (200, ANSWER)
