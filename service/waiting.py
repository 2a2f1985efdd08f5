"""Waiting for an answer no longer than the caller does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from fastapi import Request
from starlette.types import Receive

from service.admission import Ticket
from service.errors import Problem, busy
from service.middleware import WATCH, CallerGone

Result = TypeVar("Result")


async def answered(
    request: Request, work: Coroutine[Any, Any, Result], seconds: float, images: int = 1
) -> Result:
    """The result of `work`, which is cancelled when the caller hangs up or time is over.

    To be called once the request's body has been read. The request waits in the queue with so
    many images.

    Raises:
        CallerGone: nobody waits any more.
        Problem: timeout, or overloaded.
    """
    ticket: Ticket = request.scope["state"]["ticket"]
    try:
        ticket.enter()
    except Problem:
        work.close()
        raise
    ticket.weigh(images)
    limit, gone = asyncio.timeout(seconds), False

    def hung_up() -> None:
        nonlocal gone
        if not limit.expired():
            gone = True
            limit.reschedule(0)

    # In this request's own task: another one for the work, and one more to watch the caller, would
    # cost a tenth of all that a request does.
    try:
        async with limit:
            with _watched(request, hung_up):
                return await work
    except TimeoutError:
        if not limit.expired():
            raise
        if gone:
            raise CallerGone from None
        raise busy(
            "timeout",
            f"the answer took longer than {seconds:g} seconds: try again, "
            "a taught image that was saved meanwhile is not saved twice",
        ) from None
    finally:
        ticket.leave(worked=not limit.expired())


@contextmanager
def _watched(request: Request, hung_up: Callable[[], None]) -> Iterator[None]:
    """Have `hung_up` called, once and within the block, when the caller hangs up."""
    watch: Callable[[Callable[[], None] | None], None] | None
    watch = request.scope["state"].get(WATCH)
    if watch is not None:
        watch(hung_up)
        try:
            yield
        finally:
            watch(None)
        return
    # A server that is not this service's own tells only who asks.
    watching = asyncio.create_task(_hung_up(request.receive))
    watching.add_done_callback(lambda task: None if task.cancelled() else hung_up())
    try:
        yield
    finally:
        watching.cancel()


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
