"""Recorded runs: which are played, and that no batch sees another's rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from adapter.graphs import CudaRecorder, Graphs, Recording, Run


class Eager:
    """A recorder for any device: playing runs again."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.played: list[int] = []

    def __call__(self, run: Run, inputs: Tensor) -> Recording:
        self.sizes.append(len(inputs))
        outputs = run(inputs)

        def play() -> None:
            self.played.append(len(inputs))
            outputs.copy_(run(inputs))

        return Recording(inputs, outputs, play)


def double(rows: Tensor) -> Tensor:
    return rows.flatten(1).float() * 2


def rows_of(count: int, start: int = 0) -> Tensor:
    return torch.arange(start, start + count * 2, dtype=torch.uint8).view(count, 2, 1)


def test_batches_play_the_next_size_and_get_their_own_rows() -> None:
    recorder = Eager()
    graphs = Graphs(double, recorder)
    graphs.record([1, 2, 4], rows_of(1))
    assert recorder.sizes == [4, 2, 1], "the largest first: the others live in its memory"
    first, second = graphs(rows_of(3)), graphs(rows_of(4, start=50))
    assert recorder.played == [4, 4]
    assert torch.equal(first, double(rows_of(3)))
    assert torch.equal(second, double(rows_of(4, start=50)))


def test_what_no_recording_holds_is_run() -> None:
    recorder = Eager()
    graphs = Graphs(double, recorder)
    assert torch.equal(graphs(rows_of(1)), double(rows_of(1)))
    graphs.record([1, 2], rows_of(1))
    assert torch.equal(graphs(rows_of(5)), double(rows_of(5)))
    assert recorder.played == []


def test_a_size_is_recorded_once() -> None:
    recorder = Eager()
    graphs = Graphs(double, recorder)
    graphs.record([1, 2], rows_of(1))
    graphs.record([2, 3], rows_of(1))
    assert recorder.sizes == [2, 1, 3]


def test_what_cannot_be_recorded_is_run() -> None:
    def refuse(run: Run, inputs: Tensor) -> Recording:
        raise RuntimeError("operation not permitted when stream is capturing")

    graphs = Graphs(double, refuse)
    graphs.record([1, 2], rows_of(1))
    assert torch.equal(graphs(rows_of(2)), double(rows_of(2)))


@pytest.mark.gpu
def test_recordings_on_cuda_give_what_the_function_gives() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    device = torch.device("cuda")
    graphs = Graphs(double, CudaRecorder(device))
    with torch.inference_mode():
        graphs.record([1, 2, 4], rows_of(1).to(device))
        for count in (1, 3, 4, 5, 2):
            rows = rows_of(count, start=count).to(device)
            assert torch.equal(graphs(rows), double(rows))
