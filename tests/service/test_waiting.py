"""Waiting no longer than the caller does."""

from __future__ import annotations

import asyncio

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
