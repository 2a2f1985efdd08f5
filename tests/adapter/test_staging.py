"""Pixels on their way to the device."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from adapter.staging import Staging


def images(count: int) -> list[torch.Tensor]:
    return [torch.full((1, 3, 8, 8), number, dtype=torch.uint8) for number in range(count)]


def test_on_a_cpu_nothing_is_copied() -> None:
    pixels = images(1)[0]
    assert Staging(torch.device("cpu"))(pixels) is pixels


@pytest.mark.gpu
def test_many_threads_send_to_cuda_what_the_owner_then_joins() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    staging = Staging(torch.device("cuda"))
    for _ in range(20):
        with ThreadPoolExecutor(8) as pool:
            sent = list(pool.map(staging, images(100)))
        assert all(pixels.is_cuda for pixels in sent)
        joined = torch.cat(sent)
        del sent
        assert torch.equal(joined.cpu(), torch.cat(images(100)))
