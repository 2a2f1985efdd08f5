"""An encoder that can be held up, and that notes what it was given."""

from __future__ import annotations

import threading

from torch import Tensor

from adapter.encoder import PixelEncoder


class SlowEncoder(PixelEncoder):
    """Encodes images only while `free` is set.

    Attributes:
        free: cleared by a test to hold up the one thread that encodes.
        began: set when that thread has come to a batch.
        batches: images of each batch.
        threads: names of the threads that encoded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.free.set()
        self.began = threading.Event()
        self.batches: list[int] = []
        self.threads: set[str] = set()
        self._until_stop = 0

    def hold(self) -> None:
        """From now on encoding waits for `free`."""
        self.began.clear()
        self.free.clear()

    def stop_at(self, batches: int) -> None:
        """Once so many batches have come, counted from now, hold the last of them."""
        self._until_stop = batches

    def go_on(self) -> None:
        """Stop no more."""
        self._until_stop = 0
        self.free.set()

    def encode_images(self, pixels: Tensor) -> Tensor:
        self.began.set()
        assert self.free.wait(30)
        self._until_stop -= 1
        if self._until_stop == 0:
            self.free.clear()
            assert self.free.wait(30)
        self.batches.append(len(pixels))
        self.threads.add(threading.current_thread().name)
        return super().encode_images(pixels)
