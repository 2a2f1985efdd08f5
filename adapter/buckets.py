"""The few batch sizes that a tower runs in, where each size has to be made ready.

oneDNN makes code for each shape of each convolution (8 ms in all for a small model) and keeps 1,024
of these: a tower that runs in every size from 1 to 64 makes them again and again. A CUDA graph is
recorded for one size.
"""

from typing import NamedTuple

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)


class Part(NamedTuple):
    """Images of a batch that run together.

    Attributes:
        images: of them.
        size: that they run in; `size - images` rows are padding.
    """

    images: int
    size: int


def size_for(images: int) -> int | None:
    """The smallest size that holds so many images; None if there is none."""
    return next((size for size in SIZES if size >= images), None)


def sizes_up_to(largest: int) -> tuple[int, ...]:
    """The sizes that batches of at most `largest` images run in, in rising order."""
    needed = size_for(largest) or SIZES[-1]
    return tuple(size for size in SIZES if size <= needed)


def parts(images: int, largest: int, overhead: float) -> list[Part]:
    """Divide a batch into parts of these sizes, at the least cost: a part that fills its size and
    the rest after it, or all in one part with padding.

    Args:
        images: at least 0.
        largest: of the sizes to use, one of `SIZES`.
        overhead: cost of a part beside its rows', in rows.
    """
    if images == 0:
        return []
    below = max(size for size in SIZES if size <= min(images, largest))
    split = [Part(below, below), *parts(images - below, largest, overhead)]
    above = size_for(images)
    if above is None or above > largest:
        return split
    padded = [Part(images, above)]
    return min(padded, split, key=lambda found: sum(part.size + overhead for part in found))
