"""Which of the jobs that wait a batch takes, and how many images of each.

Small jobs go first, so that one image waits for the batch that runs and no other, whatever bulk
was there before it. Large ones share what is left of the batch equally, and have a quarter of the
room for certain, so that they come to an end under any load. Changes keep their order: none is
begun before those ahead of it are sure to be finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from service.batching import Job

SMALL = 8
"""A job of at most an eighth of a batch is small."""
RESERVED = 1 / 4
"""Of the room, for large jobs."""


class Portion(NamedTuple):
    """What a batch takes of a job.

    Attributes:
        job: of which `left` says how many images are still to come after this batch.
        images: of it, those that follow on what earlier batches took.
    """

    job: Job
    images: int


class Sharing:
    """Divides batches among jobs.

    Args:
        room: most images in a batch.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        # What large jobs were promised and have not had: less than one image a batch counts too.
        self._owed = 0.0

    def next_batch(self, waiting: Sequence[Job]) -> list[Portion]:
        """Portions of jobs, in the order in which these came; their `left` is counted down.

        Args:
            waiting: all jobs with something left, or without images, in the order they came in.
        """
        small_most = max(1, self._room // SMALL)
        needed = sum(job.left for job in waiting if job.size > small_most)
        self._owed = min(self._owed + RESERVED * self._room, needed, self._room)
        reserved = int(self._owed)
        taken, large = _small_ones(waiting, self._room - reserved, small_most)
        room = self._room - sum(taken.values())
        # The one with the least to come leaves the rest of its share to the others.
        for place, job in enumerate(sorted(large, key=lambda job: job.left)):
            taken[job] = min(job.left, ceil(room / (len(large) - place)))
            room -= taken[job]
            self._owed = max(0.0, self._owed - taken[job])
        portions = [Portion(job, taken[job]) for job in waiting if job in taken]
        for job, images in portions:
            job.left -= images
        return [portion for portion in portions if portion.images or not portion.job.left]


def _small_ones(waiting: Sequence[Job], room: int, most: int) -> tuple[dict[Job, int], list[Job]]:
    """The small jobs that fit, each whole, and the large ones that may have a share."""
    taken: dict[Job, int] = {}
    large = []
    order_kept = True
    for job in waiting:
        if job.in_order and not order_kept:
            continue
        if job.size > most:
            large.append(job)
        elif job.left <= room:
            taken[job] = job.left
            room -= job.left
            continue
        order_kept = order_kept and not job.in_order
    return taken, large
