"""What is drawn beside the rows: throughput against latency, and where a request's time goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Loop = Literal["open", "closed"]
"""`open`: requests come at a fixed rate, whatever becomes of them. `closed`: each caller sends
the next one when it has its answer."""


@dataclass(frozen=True)
class Point:
    """One load, and what came of it.

    Attributes:
        offered: arrivals a second of an open loop; callers of a closed one.
        rate: answers a second.
        p50: ms, from when the request was due.
        p99: likewise.
        errors: answers other than 200, and requests without one.
    """

    offered: float
    rate: float
    p50: float
    p99: float
    errors: int = 0


@dataclass(frozen=True)
class Curve:
    """The points of one server, at rising loads.

    Attributes:
        name: of the server.
        loop: what kind of load it was.
        points: in the order of the loads.
    """

    name: str
    loop: Loop
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Part:
    """One stage of a request.

    Attributes:
        name: of the stage.
        ms: that it took.
        limit: ms of the least that this machine could do it in; None where that is not known.
        limit_is: what the limit is.
    """

    name: str
    ms: float
    limit: float | None = None
    limit_is: str = ""


@dataclass(frozen=True)
class Budget:
    """Where a request's time goes, from its first byte to the last of its answer.

    Attributes:
        name: which request, on which service.
        whole: ms, measured on its own.
        parts: in the order in which they happen; what they leave of the whole is the rest.
    """

    name: str
    whole: float
    parts: tuple[Part, ...]

    @property
    def rest(self) -> float:
        """ms of the whole that no part accounts for; below 0 where parts overlap."""
        return self.whole - sum(part.ms for part in self.parts)
