"""The bound on what is under way."""

from __future__ import annotations

import pytest

from service.admission import Gate
from service.errors import Problem


def test_requests_are_counted_and_let_go() -> None:
    gate = Gate(max_requests=2, max_bytes=100)
    with gate.enter(), gate.enter():
        assert gate.requests == 2
        with pytest.raises(Problem) as refused, gate.enter():
            pass
    assert gate.requests == 0
    assert refused.value.status == 503
    assert refused.value.headers["Retry-After"] == "1"


def test_bytes_are_counted_over_all_requests_and_let_go() -> None:
    gate = Gate(max_requests=9, max_bytes=100)
    with gate.enter() as first:
        first.hold(60)
        with gate.enter() as second:
            second.hold(40)
            with pytest.raises(Problem, match="100 bytes of 100") as refused:
                second.hold(1)
            assert gate.bytes == 100
        assert gate.bytes == 60
    assert gate.bytes == 0
    assert refused.value.kind == "overloaded"


def test_a_failed_request_is_let_go_too() -> None:
    gate = Gate(max_requests=1, max_bytes=100)

    def fail() -> None:
        with gate.enter() as ticket:
            ticket.hold(10)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (gate.requests, gate.bytes) == (0, 0)
