"""CUDA graphs: a tower's hundreds of kernels, recorded once for each batch size, started as one.

Without them a small batch takes as long as Python needs to start its kernels.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Run = Callable[[Tensor], Tensor]
WARM_UPS = 3


class Recording(NamedTuple):
    """A run that can be played again.

    Attributes:
        inputs: where the next run reads.
        outputs: where it writes.
        play: runs it.
    """

    inputs: Tensor
    outputs: Tensor
    play: Callable[[], object]


class Graphs:
    """Recordings of one function, for several batch sizes.

    Args:
        run: rows to rows, each of its own; the same kernels whatever the numbers.
        record: records a run on inputs of a fixed place.
    """

    def __init__(self, run: Run, record: Callable[[Run, Tensor], Recording]) -> None:
        self._run = run
        self._record = record
        self._recordings: dict[int, Recording] = {}

    def record(self, sizes: Sequence[int], like: Tensor) -> None:
        """Record these batch sizes, of rows `like` (1, ...), on its device.

        The largest comes first: the memory that it takes is shared by all. A function that cannot
        be recorded, as it waits for a number from the device, is run plainly in all sizes.
        """
        for size in sorted(set(sizes) - set(self._recordings), reverse=True):
            inputs = like.expand(size, *like.shape[1:]).clone()
            try:
                self._recordings[size] = self._record(self._run, inputs)
            except torch.cuda.OutOfMemoryError:
                raise
            except RuntimeError:
                self._recordings.clear()
                return

    def __call__(self, rows: Tensor) -> Tensor:
        """`run` of the rows (B, ...): played where a recording holds B rows, plain elsewhere."""
        fitting = [size for size in self._recordings if size >= len(rows)]
        recording = self._recordings[min(fitting)] if fitting else None
        if recording is None:
            return self._run(rows)
        # What lies in the other rows is of an earlier batch, and harms no row of this one.
        recording.inputs[: len(rows)].copy_(rows, non_blocking=True)
        recording.play()
        # The next run writes over them.
        return recording.outputs[: len(rows)].clone()


class CudaRecorder:
    """Records on a CUDA device; all recordings share one pool of memory.

    So they must be played one after another, in one stream.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, run: Run, inputs: Tensor) -> Recording:
        """Run a few times, so that libraries choose their kernels, then record."""
        with torch.cuda.device(self._device):
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UPS):
                    run(inputs)
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            # Other threads may use the device meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                outputs = run(inputs)
        return Recording(inputs, outputs, graph.replay)
