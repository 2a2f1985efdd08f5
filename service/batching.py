"""One thread that does all the work on the accelerator, in batches.

Work-conserving: when the thread is free it takes what waits, up to the largest batch. There is
no timer and no polling: a lone request starts at once, and under load batches fill by themselves.
What a batch takes of which job is `service.sharing`'s to say.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from service.sharing import Portion, Sharing

CLOSED = "the service is shutting down"

Reply = asyncio.Future[Any] | concurrent.futures.Future[Any]


class Closed(RuntimeError):  # noqa: N818 (what it is, not that it is wrong)
    """The worker takes no more jobs."""


class Job:
    """Something to be done on the worker's thread, for one caller.

    The worker sets `result` or `error`. A job made under an event loop is answered there, by one
    wake-up for its whole batch; made elsewhere, it is answered on the worker's thread.

    Attributes:
        size: images to encode, what batches are counted in.
        left: of these, those that no batch has taken.
        in_order: whether it is finished after all others of its kind that came before it.
        gone: set once nobody waits for the answer; the job is then dropped, if still waiting.
    """

    in_order: ClassVar[bool] = False

    def __init__(self, size: int = 0) -> None:
        self.size = size
        self.left = size
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


async def outcome(job: Job) -> Any:
    """Wait for a job's outcome; when the waiting is cancelled, the job is dropped."""
    assert isinstance(job.reply, asyncio.Future)
    try:
        return await job.reply
    finally:
        job.gone = True


def settle(batch: Iterable[Job]) -> None:
    """Answer all callers, from any thread, with one wake-up an event loop."""
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


class Worker:
    """The thread, and the queue before it.

    Args:
        work: does one batch, of portions; sets the result or error of each job that has nothing
            left. What it raises itself becomes the error of all its jobs.
        max_batch: most images in a batch; a job with more takes part in several.
        observe: told the images of each batch.
        end: done on the thread, after all jobs.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Portion]], None],
        *,
        max_batch: int,
        observe: Callable[[int], None] = lambda images: None,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self._work = work
        self._sharing = Sharing(max_batch)
        self._observe = observe
        self._end = end
        self._waiting: list[Job] = []
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
                raise Closed(CLOSED)
            self._waiting.append(job)
            self._changed.notify()

    async def run(self, job: Job) -> Any:
        """Queue a job and wait for it; when the waiting is cancelled, the job is dropped."""
        self.submit(job)
        return await outcome(job)

    def close(self) -> None:
        """Take no more jobs, finish those that wait, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while batch := self._take():
            self._do(batch)
        self._end()

    def _do(self, batch: Sequence[Portion]) -> None:
        try:
            self._work(batch)
        except Exception as error:
            for job, _ in batch:
                job.error = job.error or error
        settle([job for job, _ in batch if not job.left or job.error])

    def _take(self) -> list[Portion]:
        """Portions of what waits; blocks while nothing does; [] at the end."""
        with self._changed:
            batch: list[Portion] = []
            while not batch:
                while not self._waiting:
                    if self._closing:
                        return []
                    self._changed.wait()
                batch = self._next_batch()
        self._observe(sum(images for _, images in batch))
        return batch

    def _next_batch(self) -> list[Portion]:
        wanted = [job for job in self._waiting if not job.gone and job.error is None]
        batch = self._sharing.next_batch(wanted)
        finished = {job for job, _ in batch if not job.left}
        self._waiting = [job for job in wanted if job not in finished]
        return batch
