"""Waiting no longer than the caller does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from fastapi import Request
from starlette.types import Message

from service.admission import Gate, Ticket
from service.errors import Problem
from service.middleware import CallerGone
from service.waiting import answered


def make(hang_up: asyncio.Event, gate: Gate | None = None) -> Request:
    async def receive() -> Message:
        await hang_up.wait()
        return {"type": "http.disconnect"}

    scope = {"type": "http", "headers": [], "state": {"ticket": Ticket(gate or Gate(9, 100))}}
    return Request(scope, receive)


def make_told(after: float) -> Request:
    """A request whose server tells, so many seconds later, that the caller has hung up."""

    async def receive() -> Message:
        raise AssertionError("it is not asked")

    def watch(hung_up: Callable[[], None] | None) -> None:
        if hung_up is not None:
            asyncio.get_running_loop().call_later(after, hung_up)

    state = {"ticket": Ticket(Gate(9, 100)), "watch": watch}
    return Request({"type": "http", "headers": [], "state": state}, receive)


async def never(cancelled: list[bool]) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        cancelled.append(True)
        raise


def test_an_answer_in_time() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 42

    async def scenario() -> int:
        return await answered(make(asyncio.Event()), work(), 10)

    assert asyncio.run(scenario()) == 42


def test_an_error_is_the_works_own() -> None:
    async def work() -> None:
        raise ValueError("mine")

    async def scenario() -> None:
        await answered(make(asyncio.Event()), work(), 10)

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(scenario())


def test_work_for_a_caller_who_hangs_up_is_cancelled() -> None:
    cancelled: list[bool] = []

    async def scenario() -> None:
        hang_up = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, hang_up.set)
        with pytest.raises(CallerGone):
            await answered(make(hang_up), never(cancelled), 10)
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert cancelled == [True]


@pytest.mark.parametrize("after", [0.0, 0.01])
def test_a_server_that_tells_who_hangs_up_is_not_asked(after: float) -> None:
    cancelled: list[bool] = []

    async def scenario() -> None:
        request = make_told(after)
        with pytest.raises(CallerGone):
            await answered(request, never(cancelled), 10)
        assert request.state.ticket.images == 0

    asyncio.run(scenario())
    assert cancelled == [True]


def test_a_caller_who_hangs_up_once_time_is_over_changes_nothing() -> None:
    async def slow_to_end() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(0.02)

    async def scenario() -> None:
        with pytest.raises(Problem, match=r"took longer than 0\.01 seconds"):
            await answered(make_told(0.02), slow_to_end(), 0.01)

    asyncio.run(scenario())


def test_work_that_runs_out_of_its_own_time_says_so_itself() -> None:
    async def work() -> None:
        raise TimeoutError("mine")

    async def scenario() -> None:
        await answered(make_told(10), work(), 10)

    with pytest.raises(TimeoutError, match="mine"):
        asyncio.run(scenario())


def test_work_that_takes_too_long_is_cancelled() -> None:
    cancelled: list[bool] = []

    async def scenario() -> Problem:
        with pytest.raises(Problem) as refused:
            await answered(make(asyncio.Event()), never(cancelled), 0.01)
        await asyncio.sleep(0)
        return refused.value

    problem = asyncio.run(scenario())
    assert cancelled == [True]
    assert (problem.status, problem.kind) == (503, "timeout")
    assert "Retry-After" in problem.headers


def test_work_waits_in_the_queue_with_its_images_and_leaves_it() -> None:
    gate = Gate(9, 100)
    seen: list[tuple[int, int]] = []

    async def work() -> None:
        seen.append((gate.requests, gate.images))
        await asyncio.sleep(0.01)

    async def scenario() -> None:
        await answered(make(asyncio.Event(), gate), work(), 10, images=7)

    asyncio.run(scenario())
    assert seen == [(1, 7)]
    assert (gate.requests, gate.images) == (0, 0)
    gate.join(10)
    assert gate.wait > 0


def test_where_the_queue_is_full_no_work_begins() -> None:
    gate = Gate(1, 100)
    gate.join(1)
    began: list[bool] = []

    async def scenario() -> None:
        with pytest.raises(Problem, match="1 requests wait"):
            await answered(make(asyncio.Event(), gate), never(began), 10)

    asyncio.run(scenario())
    assert began == []
