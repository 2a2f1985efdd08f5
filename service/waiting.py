"""Waiting for an answer no longer than the caller does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.types import Receive

from service.admission import Ticket
from service.errors import Problem, busy
from service.middleware import CallerGone

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
    ticket: Ticket = request.state.ticket
    try:
        ticket.enter()
    except Problem:
        work.close()
        raise
    ticket.weigh(images)
    working = asyncio.create_task(work)
    watching = asyncio.create_task(_hung_up(request.receive))
    try:
        await asyncio.wait(
            (working, watching), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if working.done():
            ticket.leave(worked=True)
            return working.result()
        if watching.done():
            raise CallerGone
        raise busy(
            "timeout",
            f"the answer took longer than {seconds:g} seconds: try again, "
            "a taught image that was saved meanwhile is not saved twice",
        )
    finally:
        working.cancel()
        watching.cancel()


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
