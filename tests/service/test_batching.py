"""The one working thread: batches without waiting, drops, errors, the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from service.batching import Closed, Job, Worker
from service.sharing import Portion


class Recorder:
    """Work that notes its batches, and can be held up."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Portion]] = []
        self.free = threading.Event()
        self.free.set()
        self.began = threading.Event()

    def __call__(self, batch: Sequence[Portion]) -> None:
        self.began.set()
        assert self.free.wait(10)
        self.batches.append(batch)
        for job, _ in batch:
            job.result = len(self.batches)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def worker(recorder: Recorder) -> Iterator[Worker]:
    made = Worker(recorder, max_batch=4)
    made.start()
    yield made
    recorder.free.set()
    made.close()


def occupy(worker: Worker, recorder: Recorder) -> Job:
    """Have the thread busy with a job until `recorder.free` is set."""
    recorder.free.clear()
    first = Job(1)
    worker.submit(first)
    assert recorder.began.wait(10)
    return first


def sizes(recorder: Recorder) -> list[list[int]]:
    return [[images for _, images in batch] for batch in recorder.batches]


def test_a_lone_job_starts_at_once(worker: Worker) -> None:
    job = Job(1)
    worker.submit(job)
    assert job.reply.result(10) == 1  # type: ignore[call-arg]


def test_what_waits_is_taken_together_up_to_the_largest_batch(
    worker: Worker, recorder: Recorder
) -> None:
    occupy(worker, recorder)
    jobs = [Job(size) for size in (1, 6, 0, 1, 1)]
    for job in jobs:
        worker.submit(job)
    recorder.free.set()
    worker.close()
    # 6 is larger than a batch may be, and takes part in three.
    assert sizes(recorder) == [[1], [1, 1, 0, 1, 1], [4], [1]]
    assert [job.reply.result() for job in jobs] == [2, 4, 2, 2, 2]


def test_a_job_that_nobody_waits_for_is_dropped(worker: Worker, recorder: Recorder) -> None:
    occupy(worker, recorder)
    gone, kept = Job(1), Job(2)
    worker.submit(gone)
    worker.submit(kept)
    gone.gone = True
    recorder.free.set()
    worker.close()
    assert sizes(recorder) == [[1], [2]]
    assert not gone.reply.done()


def test_cancelling_the_wait_drops_the_job(worker: Worker, recorder: Recorder) -> None:
    occupy(worker, recorder)

    async def scenario() -> None:
        job = Job(3)
        waiting = asyncio.create_task(worker.run(job))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert job.gone

    asyncio.run(scenario())
    recorder.free.set()
    worker.close()
    assert sizes(recorder) == [[1]]


def test_one_wake_up_answers_a_whole_batch(
    worker: Worker, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> list[int]:
        occupy_job = Job(0)  # made here: its own wake-up is not counted below
        recorder.free.clear()
        first = asyncio.create_task(worker.run(occupy_job))
        await asyncio.to_thread(recorder.began.wait, 10)
        waiting = [asyncio.create_task(worker.run(Job(1))) for _ in range(4)]
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        plain = loop.call_soon_threadsafe
        wake_ups: list[object] = []

        def counted(*arguments: object, **options: object) -> asyncio.Handle:
            if threading.current_thread().name == "xmadapter-device":
                wake_ups.append(arguments)
            return plain(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        recorder.free.set()
        await asyncio.gather(first, *waiting)
        assert len(wake_ups) == 2
        return [task.result() for task in waiting]

    assert asyncio.run(scenario()) == [2, 2, 2, 2]


def test_an_error_of_the_work_is_every_callers_and_the_thread_lives() -> None:
    def work(batch: Sequence[Portion]) -> None:
        job = batch[0].job
        if job.size > 4:
            raise ValueError("broken")
        job.result = "fine"

    worker = Worker(work, max_batch=4)
    worker.start()
    # Its first portion fails: the rest is not tried.
    broken, sound = Job(9), Job(2)
    worker.submit(broken)
    with pytest.raises(ValueError, match="broken"):
        broken.reply.result(10)  # type: ignore[call-arg]
    worker.submit(sound)
    assert sound.reply.result(10) == "fine"  # type: ignore[call-arg]
    worker.close()


def test_closing_finishes_what_waits_and_takes_no_more(worker: Worker, recorder: Recorder) -> None:
    occupy(worker, recorder)
    waiting = Job(1)
    worker.submit(waiting)
    closing = threading.Thread(target=worker.close)
    closing.start()
    recorder.free.set()
    closing.join(10)
    assert waiting.reply.result() == 2
    with pytest.raises(Closed):
        worker.submit(Job())


def test_a_loop_that_is_gone_does_not_stop_the_thread(worker: Worker, recorder: Recorder) -> None:
    async def leave() -> None:
        occupy(worker, recorder)

    asyncio.run(leave())
    recorder.free.set()
    job = Job(1)
    worker.submit(job)
    assert job.reply.result(10) == 2  # type: ignore[call-arg]


def test_the_end_comes_after_all_jobs_and_on_the_thread(recorder: Recorder) -> None:
    ends: list[tuple[str, int]] = []

    def end() -> None:
        ends.append((threading.current_thread().name, len(recorder.batches)))

    worker = Worker(recorder, max_batch=4, end=end)
    worker.start()
    occupy(worker, recorder)
    worker.submit(Job(9))
    recorder.free.set()
    worker.close()
    assert ends == [("xmadapter-device", 4)]


def test_batches_are_observed() -> None:
    seen: list[int] = []
    worker = Worker(lambda batch: None, max_batch=4, observe=seen.append)
    worker.start()
    worker.submit(Job(3))
    worker.close()
    assert seen == [3]
