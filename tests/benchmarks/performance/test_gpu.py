"""What is measured on a GPU, on the CPU with little of everything."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adapter.encoder import PixelEncoder
from benchmarks.performance.gpu import Bench, encoder_rates, milliseconds
from benchmarks.performance.gpu_service import form, of_size
from benchmarks.performance.group import Setting
from benchmarks.performance.groups import gpu
from benchmarks.performance.inputs import drawn
from benchmarks.performance.row import Row

CPU = torch.device("cpu")


@pytest.mark.parametrize("method", ["full", "paper"])
def test_a_bench_answers_with_the_class_and_shots_that_are_near(method: str) -> None:
    bench = Bench.of(200, 8, "full" if method == "full" else "paper", CPU, width=32, classes=20)
    probabilities, rows = bench.answer()
    assert probabilities.shape == (8, 20)
    assert torch.allclose(probabilities.sum(1), torch.ones(8), atol=1e-4)
    assert rows.shape == (8, 5)
    # Keys come class by class in turn, and a query's nearest are mostly of its own class.
    same = (rows % 20 == probabilities.argmax(1, keepdim=True)).float().mean()
    assert same > 0.8


def test_each_call_is_timed() -> None:
    calls: list[int] = []
    found = milliseconds(lambda: calls.append(1), CPU, 4)
    assert len(found) == 4
    assert len(calls) == 3 + 4
    assert all(0 <= each < 1000 for each in found)


def test_the_towers_images_a_second_are_counted() -> None:
    rates = encoder_rates(PixelEncoder(), batch=4, batches=2, repeats=3, staged=True)
    assert len(rates) == 3
    assert all(rate > 0 for rate in rates)


def test_photographs_of_the_size_are_kept_and_drawn_ones_take_their_place() -> None:
    right, turned, other = drawn(1, 50, 38)[0], drawn(1, 38, 50)[0], drawn(1, 64, 64)[0]
    assert of_size([right, other, turned], (50, 38)) == [right, turned]
    assert len(of_size([other], (50, 38))) == 8


def test_a_form_has_each_photograph_as_it_is() -> None:
    body, content_type = form([b"first", b"second"])
    boundary = content_type.partition("boundary=")[2].encode()
    assert body.count(b"--" + boundary) == 3
    assert body.endswith(b"--" + boundary + b"--\r\n")
    assert b"\r\n\r\nfirst\r\n--" in body


def test_adds_are_compared_between_a_small_and_a_large_cache(tmp_path: Path) -> None:
    [row] = gpu.adds(CPU, Setting((), tmp_path, quick=True))
    assert isinstance(row, Row)
    assert row.name == gpu.ADDS.name
    assert len(row.ours) == len(row.theirs) == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_device_each_row_says_so(tmp_path: Path) -> None:
    found = list(gpu.measure(Setting((), tmp_path)))
    assert found == [row.not_run("no CUDA device") for row in gpu.ROWS]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_head_and_the_towers_run_on_a_device() -> None:
    device = torch.device("cuda")
    assert len(list(gpu.heads(device, quick=True))) == 3
    assert len(list(gpu.towers(device, "ViT-B-32", "random", quick=True))) == 2
