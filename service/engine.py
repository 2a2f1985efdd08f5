"""What the service does: the one owner of encoder and cache, and the threads around it.

    bytes -> decode (pool) -> batch -> encode, commit, search, fuse (one thread) -> answer
                                                  |
              fit, and prepare a newly published adapter (their own thread)

Every change and every answer passes through the one thread, in batches: first a batch's changes
in their order, with one commit for all, then its answers. So an answer reflects each change
acknowledged before it, by this process or by another with the same cache.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import torch

from adapter.encoder import Encoder
from adapter.images import ImageLimits
from adapter.networks import AdapterFileError
from adapter.staging import Staging
from indexer.adapters import Adapter
from indexer.cache import Added, Cache
from indexer.errors import CacheError
from indexer.records import Cap, Reply, Rows
from indexer.turn import turn
from service import heap, logs
from service.admission import Gate
from service.answers import Document, verdicts
from service.batching import CLOSED, Closed, Worker, outcome, settle
from service.bodies import Given, Lesson
from service.claims import Claims
from service.errors import Problem, busy
from service.images import Preparation, Prepared
from service.indexing import encoder_of
from service.inputs import ClassifyQuery
from service.jobs import Asked, Change, Questions, Task, Teaching
from service.metrics import Metrics
from service.refit import Refitter
from service.settings import Settings, read_templates
from service.sharing import Portion

Result = TypeVar("Result")


class Answered(NamedTuple):
    """What was answered to several images, and by what.

    Attributes:
        results: a verdict, or what is wrong, for each image.
        cache_version: of the cache that answered.
        adapter: number of the adapter that answered; None for networks without a number.
    """

    results: list[Document | Problem]
    cache_version: int
    adapter: int | None


class Engine:
    """The service without HTTP.

    Args:
        settings: of the service.
        metrics: where the work is counted.
        encoder: to use instead of the one that the settings name.
        rows: of the cache, on their way.

    Attributes:
        gate: the bound on what is under way.
        claims: the idempotency keys under way.
        pool: the decoding threads.
        started: done when the model is loaded and the cache open, or could not be.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        encoder: Encoder | None = None,
        rows: concurrent.futures.Future[Rows] | None = None,
    ) -> None:
        self.settings = settings
        self.gate = Gate(settings.max_queue, settings.max_queue_bytes, settings.max_wait)
        self.pool = ThreadPoolExecutor(
            settings.decode_threads, "xmadapter-decode", initializer=_take_one_core
        )
        self.started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._encoder = encoder
        self._rows = rows
        self._cache: Cache | None = None
        self._preparation: Preparation | None = None
        self._staging: Staging | None = None
        self._seen_version = 0
        self.claims = Claims()
        self._worker = Worker(
            self._work, max_batch=settings.max_batch, observe=metrics.batch, end=self._unload
        )
        self._refitter = Refitter(
            self._refit, watch=self._follow, observe=metrics.refit, failed=metrics.refit_failed
        )

    def start(self) -> None:
        """Begin to load; `started` tells when that is done."""
        self._worker.start()
        self._refitter.start()
        self._worker.submit(Task(self._load))

    def close(self) -> None:
        """Finish what is queued, then close the cache."""
        self.pool.shutdown(cancel_futures=True)
        if not self.started.done():
            return  # still loading, perhaps for minutes: there is nothing to finish
        self._refitter.close()
        self._worker.close()

    @property
    def ready(self) -> bool:
        """Whether it can answer."""
        return self._cache is not None

    @property
    def cache(self) -> Cache:
        """The cache: from any thread for reading, see `change` for the rest.

        Raises:
            Problem: not-ready.
        """
        if self._cache is None:
            raise _not_ready()
        return self._cache

    async def classify(self, images: Sequence[Given], query: ClassifyQuery) -> Answered:
        """A verdict, or what is wrong, for each image. Raises EmptyCache: there is no class yet."""
        prepare = self._prepare().query_or_problem
        questions = Questions(query)
        if len(images) == 1:
            return await self._classify_one(prepare, images[0], questions)
        prepared = await self._pooled(prepare, images)
        questions.fill([item for item in prepared if isinstance(item, Prepared)])
        found, version, adapter = await self._worker.run(questions)
        answers = iter(found)
        results = [item if isinstance(item, Problem) else next(answers) for item in prepared]
        return Answered(results, version, adapter)

    async def _classify_one(
        self, prepare: Callable[[Given], Prepared | Problem], image: Given, questions: Questions
    ) -> Answered:
        """Most requests are this: the event loop hears of it again when it is answered."""

        def hand_on() -> None:
            # On a decoding thread.
            try:
                prepared = self._sent(prepare(image))
                if isinstance(prepared, Problem):
                    cache = self.cache
                    questions.result = [prepared], cache.answered_version, cache.adapter.number
                    settle([questions])
                else:
                    questions.fill([prepared])
                    self._worker.submit(questions)
            except Exception as error:
                fail(error)

        def fail(error: Exception) -> None:
            questions.error = error
            settle([questions])

        handed = self.pool.submit(hand_on)
        handed.add_done_callback(lambda done: fail(Closed(CLOSED)) if done.cancelled() else None)
        try:
            return Answered(*await outcome(questions))
        finally:
            handed.cancel()

    async def add(
        self, lesson: Lesson, asked: Asked, answer: Callable[[Added], Reply], *, relabel: bool
    ) -> Reply:
        """Teach: all of the lesson, or none of it. Raises Problem, ImageError or CacheError."""
        prepared = await self._pooled(self._prepare().shot, lesson.images)
        reply: Reply = await self._worker.run(
            Teaching(lesson, prepared, asked, answer, relabel=relabel)
        )
        return reply

    async def change(self, asked: Asked, work: Callable[[Cache], Reply]) -> Reply:
        """Do `work`, which changes the cache, on the owner's thread. Raises CacheError."""
        self.cache  # noqa: B018 (it raises where it is not ready)
        reply: Reply = await self._worker.run(Change(asked, work))
        return reply

    def _prepare(self) -> Preparation:
        if self._preparation is None:
            raise _not_ready()
        return self._preparation

    async def _pooled(
        self, work: Callable[[Given], Result], items: Sequence[Given]
    ) -> list[Result]:
        loop = asyncio.get_running_loop()

        def done(item: Given) -> Result:
            return self._sent(work(item))

        return list(
            await asyncio.gather(*(loop.run_in_executor(self.pool, done, item) for item in items))
        )

    def _sent(self, prepared: Result) -> Result:
        """The same, its pixels on the device: sent by the thread that made them."""
        if isinstance(prepared, Prepared) and prepared.pixels is not None:
            assert self._staging is not None
            prepared.pixels = self._staging(prepared.pixels)
        return prepared

    # On the refitter's thread; the owner only copies and swaps.

    def _refit(self) -> None:
        _take_one_core()
        cache = self.cache
        with turn(cache.path):
            fitted = cache.fitted(self._ask(cache.support))
            self._ask(lambda: cache.install(fitted))
        heap.trim()

    def _follow(self) -> None:
        """Have a newly published adapter serve, if there is one; else the last goes on."""
        cache = self._cache
        if cache is None:
            return
        try:
            # Others may have changed it, with nobody asking here.
            self._ask(cache.catch_up)
            adapter = cache.publications.newer(cache.adapter)
        except CacheError as error:
            logs.trouble("cache cannot be followed", reason=str(error))
            return
        except AdapterFileError as error:
            logs.trouble("adapter refused", reason=str(error), serving=cache.adapter.number)
            return
        if adapter is not None:
            self._change_adapter(cache, adapter)

    def _change_adapter(self, cache: Cache, adapter: Adapter) -> None:
        _take_one_core()
        try:
            prepared = cache.prepare(adapter)
            self._ask(lambda: cache.swap(prepared))
        except Closed:
            raise
        except Exception as error:
            cache.publications.failed(adapter, error)
            logs.failure("adapter refused", error, serving=cache.adapter.number)
            return
        heap.trim()
        logs.event("adapter serves", number=adapter.number, sha256=adapter.sha256)
        if cache.fitted_version != cache.version:
            self._refitter.wake()

    def _ask(self, work: Callable[[], Result]) -> Result:
        """Have the owner do `work`, from a thread without an event loop."""
        task = Task(work)
        self._worker.submit(task)
        assert isinstance(task.reply, concurrent.futures.Future)
        result: Result = task.reply.result()
        return result

    # The rest runs on the owner's thread.

    def _load(self) -> None:
        settings = self.settings
        try:
            encoder = self._encoder or encoder_of(settings)
            # Taken, so that nobody holds them once they are in memory a second time.
            rows, self._rows = self._rows, None
            cache = Cache.open(
                settings.cache,
                encoder,
                method=settings.method,
                templates=read_templates(settings.templates),
                index=settings.index,
                networks=settings.networks,
                cap=_cap(settings),
                preloaded=None if rows is None else rows.result(),
            )
            del rows
            limits = ImageLimits(settings.max_image_bytes, settings.max_image_pixels)
            encoder.warm(settings.max_batch)
        except BaseException as error:
            self.started.set_exception(error)
            return
        self._staging = Staging(encoder.device)
        self._preparation = Preparation(
            encoder.preprocessing,
            encoder.width,
            limits,
            settings.online_views,
            settings.scaled_decoding,
        )
        if (reason := cache.publications.error) is not None:
            logs.trouble("adapter refused", reason=reason, serving=cache.adapter.number)
        self._cache = cache
        self._seen_version = cache.fitted_version
        self.started.set_result(None)

    def _unload(self) -> None:
        if self._cache is not None:
            self._cache.close()

    def _work(self, batch: Sequence[Portion]) -> None:
        self._encode([portion for portion in batch if portion.images])
        finished = [job for job, _ in batch if not job.left]
        self._commit([job for job in finished if isinstance(job, Change)])
        for job in finished:
            if isinstance(job, Task):
                self._do(job)
        self._answer([job for job in finished if isinstance(job, Questions)])
        if self._cache is not None and (version := self._cache.version) != self._seen_version:
            self._seen_version = version
            self._refitter.wake()

    def _encode(self, portions: Sequence[Portion]) -> None:
        if not portions:
            return
        carrying = [
            (job.pictures, images)
            for job, images in portions
            if isinstance(job, Questions | Teaching)
        ]
        rows = [row for pictures, images in carrying for row in pictures.take(images)]
        features = self.cache.encoder.encode_images(torch.cat(rows))
        for pictures, images in carrying:
            pictures.see(features[:images])
            features = features[images:]

    def _commit(self, jobs: Sequence[Change]) -> None:
        """Make the changes in their order, with one commit for all."""
        if not jobs:
            return
        cache = self.cache
        try:
            lessons = [job.lesson for job in jobs if isinstance(job, Teaching)]
            cache.encode_ahead(
                [lesson.label for lesson in lessons],
                [caption for lesson in lessons for caption in lesson.captions],
            )
            with cache.group():
                for job in jobs:
                    self._change(job, cache)
        except Exception as error:
            # Nothing of it is on disk.
            for job in jobs:
                job.error = job.error or error

    def _change(self, job: Change, cache: Cache) -> None:
        try:
            job.result = job.commit(cache)
        except Exception as error:
            job.error = error

    def _do(self, job: Task) -> None:
        try:
            job.result = job.work()
        except Exception as error:
            job.error = error

    def _answer(self, jobs: Sequence[Questions]) -> None:
        try:
            self._classify(jobs)
        except Exception as error:
            # Theirs alone: what was committed for others in this batch stays acknowledged.
            for job in jobs:
                job.error = error

    def _classify(self, jobs: Sequence[Questions]) -> None:
        if not jobs:
            return
        cache = self.cache
        items = [item for job in jobs for item in job.prepared]
        queries = [job.query for job in jobs for _ in job.prepared]
        found: list[Document] = []
        if items:
            features = [item.feature for item in items if item.feature is not None]
            device = cache.encoder.device
            scores = cache.classify(torch.stack([feature.to(device) for feature in features]))
            found = verdicts(scores, queries, cache.shot_ids)
        answers = iter(found)
        for job in jobs:
            own = [next(answers) for _ in job.prepared]
            job.result = own, cache.answered_version, cache.adapter.number


def _take_one_core() -> None:
    # A fit, or a picture, is many small operations, which a second thread only holds up, and the
    # owner wants the other cores. Threads made later begin with this number too; the owner, which
    # is made before, keeps its own.
    torch.set_num_threads(1)


def _cap(settings: Settings) -> Cap | None:
    most = settings.max_shots_per_class
    return None if most is None else Cap(most, settings.full_class)


def _not_ready() -> Problem:
    return busy(
        "not-ready",
        "the model is being loaded: ask /readyz, and try again after it says ok",
        retry_after=2,
    )
