"""The image tower as it is run: folded, in its type and layout, packed or recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from adapter.buckets import parts, sizes_up_to
from adapter.folding import folded
from adapter.graphs import CudaRecorder, Graphs
from adapter.packing import can_pack, pack

# On a CPU nothing is gained by more, and caches are lost.
CPU_PART = 64
# Measured: a convolutional tower needs 4 to 5 times as long for one image as for one more of many.
CPU_OVERHEAD = 4
# Fewer are a vision transformer's: the rest of it takes any batch size alike.
MANY_CONVOLUTIONS = 8
# So few images of a tower with so few weights keep no second thread busy: it would cost more to
# call it to each of a hundred operations.
LONE_IMAGES = 4
SMALL_TOWER = 10_000_000


class ImageTower:
    """uint8 pixels to float32 features, on one device.

    Args:
        towers: an open_clip model in evaluation mode, float32, on the device; its image tower is
            taken over, its text tower is left as it is.
        size: (height, width) of the images.
        mean: of each channel, in 0..1, that is subtracted.
        std: of each channel that is then divided by.
        dtype: to calculate in.
    """

    def __init__(
        self,
        towers: Any,
        size: tuple[int, int],
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        dtype: torch.dtype,
    ) -> None:
        self._towers = towers
        self._dtype = dtype
        self._device = next(towers.visual.parameters()).device
        self._blank = torch.zeros(1, 3, *size, dtype=torch.uint8, device=self._device)
        self._scale, self._shift = self._normalisation(mean, std)
        weights = sum(weight.numel() for weight in towers.visual.parameters())
        self._small = weights < SMALL_TOWER
        self._buckets = self._prepare() >= MANY_CONVOLUTIONS
        self._graphs: Graphs | None = None
        if self._device.type == "cuda":
            self._graphs = Graphs(self._features, CudaRecorder(self._device))

    def __call__(self, pixels: Tensor) -> Tensor:
        """uint8 (B, 3, H, W), B at least 1, on any device, to float32 (B, D), not of unit norm."""
        with torch.inference_mode():
            here = pixels.to(self._device, non_blocking=True)
            if self._graphs is not None:
                return self._graphs(here)
            if not self._buckets:
                starts = range(0, len(here), CPU_PART)
                return torch.cat([self._features(here[at : at + CPU_PART]) for at in starts])
            return self._in_buckets(here)

    def warm(self, largest: int) -> None:
        """Make ready for batches of up to `largest` images: no first one is slower than others.

        For the number of threads that torch has now, and the thread that calls.
        """
        with torch.inference_mode():
            if self._graphs is not None:
                self._graphs.record(sizes_up_to(largest), self._blank)
                return
            sizes = [size for size in sizes_up_to(largest) if size <= CPU_PART]
            for size in sizes if self._buckets else sizes[:1]:
                self(self._blank.expand(size, -1, -1, -1))

    def _in_buckets(self, pixels: Tensor) -> Tensor:
        found = []
        start = 0
        for images, size in parts(len(pixels), CPU_PART, CPU_OVERHEAD):
            rows = pixels[start : start + images]
            padding = (0, 0, 0, 0, 0, 0, 0, size - images)
            with _threads(1 if self._small and size <= LONE_IMAGES else None):
                found.append(self._features(functional.pad(rows, padding))[:images])
            start += images
        return torch.cat(found) if len(found) > 1 else found[0]

    def _features(self, pixels: Tensor) -> Tensor:
        inputs = pixels.to(torch.float32, memory_format=torch.channels_last)
        inputs.mul_(self._scale).add_(self._shift)
        features: Tensor = self._towers.encode_image(inputs.to(self._dtype))
        return features.float()

    def _normalisation(self, mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[Tensor, ...]:
        """What (x / 255 - mean) / std is as a multiplication and an addition."""
        scale = [1 / (255 * each) for each in std]
        shift = [-middle / each for middle, each in zip(mean, std, strict=True)]
        return tuple(
            torch.tensor(values, device=self._device).view(1, 3, 1, 1) for values in (scale, shift)
        )

    def _prepare(self) -> int:
        """Make the tower faster without making it another function; returns what was packed."""
        noise = torch.randn(2, *self._blank.shape[1:], generator=torch.Generator().manual_seed(0))
        visual: nn.Module = folded(self._towers.visual, noise.to(self._device))
        visual = visual.to(self._dtype).to(memory_format=torch.channels_last)
        self._towers.visual = visual
        on_cpu = self._device.type == "cpu"
        return pack(visual) if on_cpu and can_pack(self._dtype) else 0


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Have torch use so many threads for what this one calls; as many as before, if not given."""
    if count is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
