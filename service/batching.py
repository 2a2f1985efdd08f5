"""One thread that does all the work on the accelerator, in batches.

Work-conserving: when the thread is free it takes what waits, up to the largest batch. There is
no timer and no polling: a lone request starts at once, and under load batches fill by themselves.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Reply = asyncio.Future[Any] | concurrent.futures.Future[Any]


class Closed(RuntimeError):  # noqa: N818 (what it is, not that it is wrong)
    """The worker takes no more jobs."""


class Job:
    """Something to be done on the worker's thread, for one caller.

    The worker sets `result` or `error`. A job made under an event loop is answered there, by one
    wake-up for its whole batch; made elsewhere, it is answered on the worker's thread.

    Attributes:
        size: images to encode, what batches are counted in.
        gone: set once nobody waits for the answer; the job is then dropped, if still waiting.
    """

    def __init__(self, size: int = 0) -> None:
        self.size = size
        self.gone = False
        self.result: Any = None
        self.error: Exception | None = None
        self.reply: Reply
        try:
            self.loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self.loop = None
            self.reply = concurrent.futures.Future()
        else:
            self.reply = self.loop.create_future()

    def settle(self) -> None:
        """Hand the outcome to the caller, if there still is one."""
        if self.reply.done():
            return
        if self.error is not None:
            self.reply.set_exception(self.error)
        else:
            self.reply.set_result(self.result)


class Worker:
    """The thread, and the queue before it.

    Args:
        work: does one batch: sets each job's result or error. What it raises itself becomes the
            error of all its jobs.
        max_batch: most images in a batch; a single larger job is a batch of its own.
        observe: told the images of each batch.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Job]], None],
        *,
        max_batch: int,
        observe: Callable[[int], None] = lambda images: None,
    ) -> None:
        self._work = work
        self._max_batch = max_batch
        self._observe = observe
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="xmadapter-device", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; `job.reply` tells its outcome.

        Raises:
            Closed: `close` was called.
        """
        with self._changed:
            if self._closing:
                raise Closed("the service is shutting down")
            self._waiting.append(job)
            self._changed.notify()

    async def run(self, job: Job) -> Any:
        """Queue a job and wait for it; when the waiting is cancelled, the job is dropped."""
        self.submit(job)
        assert isinstance(job.reply, asyncio.Future)
        try:
            return await job.reply
        finally:
            job.gone = True

    def close(self) -> None:
        """Take no more jobs, finish those that wait, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while batch := self._take():
            try:
                self._work(batch)
            except Exception as error:
                for job in batch:
                    job.error = job.error or error
            _settle(batch)

    def _take(self) -> list[Job]:
        """What waits, up to the largest batch; blocks while nothing does; [] at the end."""
        with self._changed:
            batch: list[Job] = []
            while not batch:
                while not self._waiting:
                    if self._closing:
                        return []
                    self._changed.wait()
                batch = self._next_batch()
        self._observe(sum(job.size for job in batch))
        return batch

    def _next_batch(self) -> list[Job]:
        batch: list[Job] = []
        images = 0
        while self._waiting:
            job = self._waiting[0]
            if not job.gone:
                if batch and images + job.size > self._max_batch:
                    break
                batch.append(job)
                images += job.size
            self._waiting.popleft()
        return batch


def _settle(batch: Iterable[Job]) -> None:
    """Answer all callers, with one wake-up an event loop."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[Job]] = {}
    for job in batch:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        if loop is None:
            _settle_all(jobs)
            continue
        try:
            loop.call_soon_threadsafe(_settle_all, jobs)
        except RuntimeError:  # the loop has been closed: nobody waits any more
            continue


def _settle_all(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.settle()
