"""The door: how much may be under way at once, in requests, in bytes and in waiting time.

A request holds bytes while its body comes, and takes a place in the queue once it is complete;
so a slow caller keeps nobody out. Everything that waits, for decoding or for the device, has such
a place, and this one bound holds for all queues behind it. How long a newcomer would wait is the
images before it times the seconds that an image took lately: as in CoDel, the time is what is
bounded, whatever the machine and the model. Used on the event loop alone, so it needs no lock.
"""

from __future__ import annotations

import math
import time
from asyncio import Timeout
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from service.errors import Problem, busy

# So many are let in however slow the last ones were: one long call must not shut the door.
ALWAYS = 4
HALF_LIFE = 1.0
LONGEST_RETRY = 60


class Ticket:
    """What one request holds; nothing any more at the end of its `with` block.

    Attributes:
        gate: the bound that it is of.
        held: bytes of its body.
        images: that it waits in the queue with; 0 without a place.
        gave_way: whether its upload was ended for the sake of others.
    """

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self._upload: Timeout | None = None
        self.held = 0
        self.images = 0
        self.gave_way = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
        self.release()

    @contextmanager
    def uploading(self, limit: Timeout) -> Iterator[None]:
        """For as long as its body comes; `limit` ends that where it must give way."""
        self._upload = limit
        self.gate.uploads[self] = None
        try:
            yield
        finally:
            self._upload = None
            self.gate.uploads.pop(self, None)

    def hold(self, count: int) -> None:
        """Account for `count` more bytes.

        Where all requests together hold too many, the largest upload gives way to a smaller one.

        Raises:
            Problem: overloaded; no upload is more than twice as large as this one.
        """
        gate = self.gate
        if gate.bytes + count > gate.max_bytes:
            largest = max(gate.uploads, key=lambda ticket: ticket.held, default=self)
            if largest.held <= 2 * (self.held + count):
                raise gate.crowded()
            largest.give_way()
        self.held += count
        gate.bytes += count

    def give_way(self) -> None:
        """End the upload."""
        self.gave_way = True
        self.gate.uploads.pop(self, None)
        self.release()
        if self._upload is not None:
            self._upload.reschedule(0)

    def enter(self) -> None:
        """Take a place in the queue, if it has none.

        Raises:
            Problem: overloaded; too many wait, or for too long.
        """
        if self.images:
            return
        if self.gate.full:
            raise self.gate.refusal()
        self.gate.join(1)
        self.images = 1

    def weigh(self, images: int) -> None:
        """Say how many images it came with."""
        self.gate.images += max(images, 1) - self.images
        self.images = max(images, 1)

    def leave(self, *, worked: bool = False) -> None:
        """Leave the queue; `worked` tells that all of it was done, and so how long that takes."""
        if self.images:
            self.gate.quit(self.images, worked=worked)
            self.images = 0

    def release(self) -> None:
        """Let go of the bytes."""
        self.gate.bytes -= self.held
        self.held = 0


class Gate:
    """The bound of all requests together.

    Args:
        max_requests: most that have a place in the queue.
        max_bytes: most that their bodies hold, those that are still coming too.
        max_wait: seconds that a newcomer may be expected to wait.
        clock: seconds.

    Attributes:
        requests: in the queue now.
        images: that they came with.
        bytes: held.
        uploads: requests whose body is still coming.
    """

    def __init__(
        self,
        max_requests: int,
        max_bytes: int,
        max_wait: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_requests = max_requests
        self.max_bytes = max_bytes
        self.max_wait = max_wait
        self.requests = 0
        self.images = 0
        self.bytes = 0
        self.uploads: dict[Ticket, None] = {}
        self._clock = clock
        self._now = clock()
        # Of late, while there was anything to do: images done, and in how many seconds.
        self._done = 0.0
        self._seconds = 0.0

    def ticket(self) -> Ticket:
        """One request's ticket, to be held by a `with` block."""
        return Ticket(self)

    @property
    def wait(self) -> float:
        """Seconds that a newcomer would wait, as far as is known."""
        return self.images * self._seconds / self._done if self._done else 0.0

    @property
    def full(self) -> bool:
        """Whether a newcomer is turned away."""
        if self.requests < ALWAYS:
            return self.requests >= self.max_requests
        return self.requests >= self.max_requests or self.wait > self.max_wait

    def refusal(self) -> Problem:
        """What to tell it."""
        return busy(
            "overloaded",
            f"{self.requests} requests wait, for about {self.wait:.1f} seconds; at most "
            f"{self.max_requests} may, for {self.max_wait:g}: "
            "try again after Retry-After seconds",
            retry_after=min(max(math.ceil(self.wait), 1), LONGEST_RETRY),
        )

    def crowded(self) -> Problem:
        """What to tell a request whose bytes find no room."""
        return busy(
            "overloaded",
            f"the requests under way hold {self.bytes} bytes of {self.max_bytes}: "
            "try again after Retry-After seconds",
        )

    def join(self, images: int) -> None:
        """One more request in the queue."""
        self._pass_time()
        self.requests += 1
        self.images += images

    def quit(self, images: int, *, worked: bool) -> None:
        """One less."""
        self._pass_time()
        self.requests -= 1
        self.images -= images
        if worked:
            self._done += images

    def _pass_time(self) -> None:
        """Count the time since the last change; old counts fade with it."""
        before, self._now = self._now, self._clock()
        if self.requests:
            passed = self._now - before
            kept = 0.5 ** (passed / HALF_LIFE)
            self._seconds = self._seconds * kept + passed
            self._done *= kept
