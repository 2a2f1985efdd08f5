"""Pixels sent to the device by the threads that made them, while it works on other images.

So the thread that owns the device finds a batch there, and only has to join it.
"""

import torch
from torch import Tensor


class Staging:
    """The way to one device, for any number of threads.

    Args:
        device: where the image tower is.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._aside: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, pixels: Tensor) -> Tensor:
        """The same pixels on the CUDA device, all there; on a CPU, what was given.

        They go through pinned memory, in a stream beside the one that the tower runs in.
        """
        if self._aside is None:
            return pixels
        with torch.cuda.device(self._device), torch.cuda.stream(self._aside):
            there = pixels.pin_memory().to(self._device, non_blocking=True)
            self._aside.synchronize()
        # Its memory must not be given to another image before the tower has read it.
        there.record_stream(torch.cuda.default_stream(self._device))
        return there
