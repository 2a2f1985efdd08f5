"""What is answered without the application: as bytes, and where many are, at little cost.

Under overload most requests are refused. To refuse one where it is read takes a quarter of what it
takes to carry it into the application and back, and that time is the answers' of the others. The
log counts such refusals, a line a second, in place of a line each.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service import logs
from service.admission import Gate
from service.errors import Problem
from service.headers import Headers, secured
from service.metrics import Metrics
from service.middleware import QUEUELESS, REQUEST_ID_HEADER, request_id_of

LOG_SECONDS = 1.0


def as_bytes(problem: Problem, common: Headers, request_id: str, *, close: bool) -> bytes:
    """A problem as a whole HTTP response; `common` are the headers of every answer."""
    answer = problem.response(request_id)
    headers = [*common, *secured("", answer.raw_headers)]
    headers.append((REQUEST_ID_HEADER.lower().encode(), request_id.encode()))
    if close:
        headers.append((b"connection", b"close"))
    lines = [name + b": " + value + b"\r\n" for name, value in headers]
    return STATUS_LINE[problem.status] + b"".join(lines) + b"\r\n" + bytes(answer.body)


class Refusals:
    """Of requests that find the queue full.

    Args:
        gate: the bound on the queue.
        metrics: where they are counted.
    """

    def __init__(self, gate: Gate, metrics: Metrics) -> None:
        self._gate = gate
        self._metrics = metrics
        self._untold = 0

    def due(self, method: bytes) -> bool:
        """Whether a request of this method is to be refused."""
        return self._gate.full and method.decode("ascii") not in QUEUELESS

    def answer(self, method: bytes, headers: Headers, common: Headers, *, close: bool) -> bytes:
        """The answer to one, with these headers."""
        given = next((value for name, value in headers if name == b"x-request-id"), b"")
        request_id = request_id_of(given.decode("latin-1"))
        problem = self._gate.refusal()
        self._metrics.request(method.decode("ascii"), "unmatched", problem.status, 0.0)
        if not self._untold:
            asyncio.get_running_loop().call_later(LOG_SECONDS, self._tell, problem)
        self._untold += 1
        return as_bytes(problem, common, request_id, close=close)

    def _tell(self, problem: Problem) -> None:
        logs.event("refused", kind=problem.kind, status=problem.status, requests=self._untold)
        self._untold = 0
