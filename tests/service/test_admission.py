"""The bound on what is under way."""

from __future__ import annotations

import pytest

from service.admission import ALWAYS, LONGEST_RETRY, Gate, Ticket
from service.errors import Problem


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_places_are_counted_and_let_go() -> None:
    gate = Gate(max_requests=2, max_bytes=100)
    with gate.ticket() as first, gate.ticket() as second, gate.ticket() as third:
        first.enter()
        first.enter()
        assert (gate.requests, gate.full) == (1, False)
        second.enter()
        assert gate.full
        with pytest.raises(Problem) as refused:
            third.enter()
        first.leave()
        third.enter()
    assert gate.requests == 0
    assert refused.value.status == 503
    assert refused.value.headers["Retry-After"] == "1"


def test_bytes_are_counted_over_all_requests_and_let_go() -> None:
    gate = Gate(max_requests=9, max_bytes=100)
    with gate.ticket() as first:
        first.hold(60)
        with gate.ticket() as second:
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
        with gate.ticket() as ticket:
            ticket.hold(10)
            ticket.enter()
            ticket.weigh(5)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (gate.requests, gate.images, gate.bytes) == (0, 0, 0)


def join(gate: Gate, images: int = 1) -> Ticket:
    ticket = Ticket(gate)
    ticket.enter()
    ticket.weigh(images)
    return ticket


def test_the_wait_is_the_images_before_times_the_time_of_each() -> None:
    clock = Clock()
    gate = Gate(1000, 100, max_wait=2.0, clock=clock)
    for _ in range(50):
        ticket = join(gate, 4)
        clock.now += 0.4
        ticket.leave(worked=True)
        clock.now += 100.0
    assert gate.wait == 0.0
    for _ in range(ALWAYS):
        join(gate, 5)
    assert gate.wait == pytest.approx(2.0, rel=0.05)
    join(gate, 3)
    assert gate.full
    with pytest.raises(Problem, match=r"5 requests wait, for about 2\.\d seconds") as refused:
        join(gate)
    assert refused.value.headers["Retry-After"] == "3"


def test_the_time_of_an_image_is_that_of_late() -> None:
    clock = Clock()
    gate = Gate(1000, 100, max_wait=2.0, clock=clock)
    slow = join(gate)
    clock.now += 5.0
    slow.leave(worked=True)
    # One long call does not shut the door, whatever is expected of the next.
    tickets = [join(gate) for _ in range(ALWAYS)]
    assert gate.full
    for ticket in tickets:
        clock.now += 0.01
        ticket.leave(worked=True)
    for _ in range(500):
        ticket = join(gate)
        clock.now += 0.01
        ticket.leave(worked=True)
    join(gate, 10)
    assert gate.wait == pytest.approx(0.1, rel=0.2)


def test_what_was_not_done_tells_nothing_of_the_time_that_work_takes() -> None:
    clock = Clock()
    gate = Gate(1000, 100, max_wait=2.0, clock=clock)
    given_up, done = join(gate, 100), join(gate, 1)
    clock.now += 0.1
    given_up.leave()
    done.leave(worked=True)
    join(gate, 10)
    assert gate.wait == pytest.approx(1.0, rel=0.1)


def test_nobody_is_told_to_wait_forever() -> None:
    clock = Clock()
    gate = Gate(1000, 100, max_wait=2.0, clock=clock)
    done = join(gate)
    clock.now += 1.0
    done.leave(worked=True)
    join(gate, 100_000)
    assert gate.refusal().headers["Retry-After"] == str(LONGEST_RETRY)
