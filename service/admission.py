"""The door: how much may be under way at once, in requests and in bytes.

Everything that waits, for decoding or for the device, has come through here; so this one bound
holds for all queues behind it. Used on the event loop alone, so it needs no lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import busy


class Ticket:
    """What one request holds of the bound."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.held = 0

    def hold(self, count: int) -> None:
        """Account for `count` more bytes of this request.

        Raises:
            Problem: overloaded; all requests together hold too many.
        """
        gate = self._gate
        if gate.bytes + count > gate.max_bytes:
            raise busy(
                "overloaded",
                f"the requests under way hold {gate.bytes} bytes of {gate.max_bytes}: "
                "try again after Retry-After seconds",
            )
        self.held += count
        gate.bytes += count


class Gate:
    """The bound of all requests together.

    Attributes:
        requests: under way now.
        bytes: of their bodies.
    """

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self.max_requests = max_requests
        self.max_bytes = max_bytes
        self.requests = 0
        self.bytes = 0

    @contextmanager
    def enter(self) -> Iterator[Ticket]:
        """Let one request in, until the end of the block.

        Raises:
            Problem: overloaded; too many are under way.
        """
        if self.requests >= self.max_requests:
            raise busy(
                "overloaded",
                f"{self.requests} requests are under way, and at most {self.max_requests} may be: "
                "try again after Retry-After seconds",
            )
        ticket = Ticket(self)
        self.requests += 1
        try:
            yield ticket
        finally:
            self.requests -= 1
            self.bytes -= ticket.held
