"""The image tower as it is run, against the plain one."""

from __future__ import annotations

from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from adapter import embedded
from adapter.tower import ImageTower

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
SIZE = (64, 64)


def shipped() -> Any:
    embedded.register()
    towers = open_clip.create_model(embedded.MODEL_NAME, str(embedded.weights_path()))
    return towers.eval().requires_grad_(False)


def tower_of(dtype: torch.dtype) -> ImageTower:
    return ImageTower(shipped(), SIZE, MEAN, STD, dtype)


def photographs(count: int) -> Tensor:
    """Smooth noise, as photographs are rather than white noise."""
    small = torch.rand(count, 3, 9, 9, generator=torch.Generator().manual_seed(2))
    large = functional.interpolate(small, SIZE, mode="bicubic", align_corners=False)
    return (large.clamp(0, 1) * 255).to(torch.uint8)


def plain(pixels: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    with torch.no_grad():
        features: Tensor = shipped().encode_image((pixels / 255 - mean) / std)
    return features


@pytest.fixture(scope="module")
def exact() -> ImageTower:
    return tower_of(torch.float32)


@pytest.mark.parametrize("count", [1, 5, 17, 70])
def test_features_are_the_plain_towers_in_every_batch_size(exact: ImageTower, count: int) -> None:
    pixels = photographs(count)
    ours, theirs = exact(pixels), plain(pixels)
    assert ours.shape == theirs.shape
    assert ours.dtype == torch.float32
    # Sums in another order, in 32 layers.
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_bfloat16_keeps_the_direction() -> None:
    pixels = photographs(16)
    ours = tower_of(torch.bfloat16)(pixels)
    assert ours.dtype == torch.float32
    assert functional.cosine_similarity(ours, plain(pixels)).min() > 0.999


def test_an_image_has_the_same_features_in_whatever_batch(exact: ImageTower) -> None:
    pixels = photographs(30)
    together = exact(pixels)
    alone = torch.cat([exact(pixels[row : row + 1]) for row in range(30)])
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-3)


def test_only_sizes_that_were_made_ready_are_run(
    exact: ImageTower, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[int] = []
    features = exact._features

    def noted(pixels: Tensor) -> Tensor:
        run.append(len(pixels))
        return features(pixels)

    monkeypatch.setattr(exact, "_features", noted)
    exact.warm(20)
    ready = set(run)
    assert ready == {1, 2, 3, 4, 6, 8, 12, 16, 24}
    run.clear()
    for count in range(1, 21):
        exact(photographs(count))
    assert set(run) <= ready


@pytest.mark.parametrize(("count", "expected"), [(1, [1]), (3, [1]), (16, [2]), (17, [2, 1])])
def test_few_images_of_a_small_tower_take_one_thread(
    exact: ImageTower, monkeypatch: pytest.MonkeyPatch, count: int, expected: list[int]
) -> None:
    seen: list[int] = []
    features = exact._features

    def noted(pixels: Tensor) -> Tensor:
        seen.append(torch.get_num_threads())
        return features(pixels)

    monkeypatch.setattr(exact, "_features", noted)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        exact(photographs(count))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == expected


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_recorded_on_cuda_it_gives_the_same_features(dtype: torch.dtype) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    tower = ImageTower(shipped().cuda(), SIZE, MEAN, STD, dtype)
    pixels = photographs(13)
    before = tower(pixels)
    tower.warm(16)
    for count in (13, 1, 16):
        recorded = tower(photographs(count)).cpu()
        assert functional.cosine_similarity(recorded, plain(photographs(count))).min() > 0.999
    torch.testing.assert_close(tower(pixels), before, atol=1e-2, rtol=1e-2)
