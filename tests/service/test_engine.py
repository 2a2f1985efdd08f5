"""One owner: batches, order, drops, bounds, fits, the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from indexer.fitting import CacheSnapshot, Fitted
from service.batching import Closed, Job
from service.engine import Engine
from service.inputs import ClassifyQuery
from service.jobs import Task
from tests.service.serving import GREEN, RED, Service, eventually, picture, serving
from tests.service.slow import SlowEncoder


@pytest.fixture
def encoder() -> SlowEncoder:
    return SlowEncoder()


@pytest.fixture
def held(tmp_path: Path, encoder: SlowEncoder) -> Iterator[Service]:
    """One whose device can be held up; it knows red and green."""
    with serving(
        tmp_path / "cache",
        encoder=encoder,
        max_batch=4,
        max_queue=6,
        max_queue_bytes=4000,
        max_request_bytes=4000,
    ) as made:
        assert made.teach("red", picture(RED)).status_code == 201
        assert made.teach("green", picture(GREEN)).status_code == 201
        made.settle()
        encoder.batches.clear()
        yield made
        encoder.free.set()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def occupied(
    held: Service, encoder: SlowEncoder, threads: ThreadPoolExecutor
) -> Future[httpx.Response]:
    """Have the device busy with one image until `encoder.free` is set."""
    encoder.hold()
    first = threads.submit(held.ask, picture())
    assert encoder.began.wait(10)
    return first


def waiting(held: Service, count: int) -> None:
    eventually(lambda: held.engine.gate.requests == count)
    eventually(lambda: len(requests(held)) == count - 1)


def requests(held: Service) -> list[Job]:
    """What waits for callers: a fit may wait beside it."""
    return [job for job in held.engine._worker._waiting if not isinstance(job, Task)]


def test_what_waits_is_encoded_together_asking_and_teaching_alike(
    held: Service, encoder: SlowEncoder, threads: ThreadPoolExecutor
) -> None:
    first = occupied(held, encoder, threads)
    asks = [threads.submit(held.ask, picture(mark=mark)) for mark in (1, 2)]
    teach = threads.submit(held.teach, "red", picture(mark=3), picture(mark=4))
    waiting(held, 4)
    encoder.free.set()
    assert teach.result().status_code == 201
    assert all(each.result().status_code == 200 for each in [first, *asks])
    assert encoder.batches == [1, 4]
    assert encoder.threads == {"xmadapter-device"}


def test_answers_of_a_batch_reflect_what_is_taught_in_it(
    held: Service, encoder: SlowEncoder, threads: ThreadPoolExecutor
) -> None:
    occupied(held, encoder, threads)
    ask = threads.submit(held.ask, picture((10, 10, 240)))
    waiting(held, 2)
    teach = threads.submit(held.teach, "blue", picture((10, 10, 240), mark=1))
    waiting(held, 3)
    encoder.free.set()
    taught, found = teach.result().json(), ask.result().json()
    assert found["cache_version"] == taught["cache_version"]
    assert found["neighbors"][0]["shot_id"] == taught["shot_ids"][0]
    assert "blue" in [each["label"] for each in found["predictions"]]


def test_changes_that_wait_together_share_one_commit(
    held: Service, encoder: SlowEncoder, threads: ThreadPoolExecutor
) -> None:
    before = held.version
    occupied(held, encoder, threads)
    adds = [threads.submit(held.teach, "red", picture(mark=mark)) for mark in (1, 2)]
    waiting(held, 3)
    class_edit = threads.submit(held.http.put, "/classes/blue")
    eventually(lambda: len(requests(held)) == 3)
    commits: list[str] = []
    writer = held.engine.cache._store._database._writer
    writer.set_trace_callback(
        lambda statement: commits.append(statement) if statement == "COMMIT" else None
    )
    encoder.free.set()
    answers = [each.result() for each in (*adds, class_edit)]
    writer.set_trace_callback(None)
    versions = sorted(answer.json()["cache_version"] for answer in answers)
    assert versions == [before + 1, before + 2, before + 3]
    fits = sum(1 for _ in commits) - 1
    assert fits <= 1, "more than the one commit of all changes and one of the fit after it"


def test_a_conflict_in_a_batch_harms_no_other_request_of_it(
    held: Service, encoder: SlowEncoder, threads: ThreadPoolExecutor
) -> None:
    occupied(held, encoder, threads)
    conflict = threads.submit(held.teach, "green", picture(RED))
    sound = threads.submit(held.teach, "green", picture(GREEN, mark=1))
    ask = threads.submit(held.ask, picture(RED))
    waiting(held, 4)
    encoder.free.set()
    held.problem(conflict.result(), 409, "label-conflict")
    assert sound.result().status_code == 201
    assert ask.result().json()["label"] == "red"


def test_a_caller_who_hangs_up_is_dropped_before_encoding(
    held: Service, encoder: SlowEncoder, threads: ThreadPoolExecutor
) -> None:
    first = occupied(held, encoder, threads)
    with httpx.Client(base_url=held.url, timeout=0.3) as impatient:
        files = {"image": picture(mark=1)}
        with pytest.raises(httpx.ReadTimeout):
            impatient.post("/cache/add", data={"label": "red"}, files=files)
    eventually(lambda: held.engine.gate.requests == 1)
    encoder.free.set()
    assert first.result().status_code == 200
    assert held.ask(picture()).status_code == 200
    assert encoder.batches == [1, 1]
    assert held.http.get("/classes/red").json()["shots"] == 1


def test_more_requests_than_the_queue_holds_are_told_to_come_back(
    held: Service, encoder: SlowEncoder, threads: ThreadPoolExecutor
) -> None:
    occupied(held, encoder, threads)
    asks = [threads.submit(held.ask, picture(mark=mark)) for mark in range(5)]
    waiting(held, 6)
    refused = held.ask(picture())
    assert "6 requests wait" in held.problem(refused, 503, "overloaded")
    assert int(refused.headers["Retry-After"]) >= 1
    assert held.http.get("/healthz").status_code == 200
    encoder.free.set()
    assert all(each.result().status_code == 200 for each in asks)
    assert held.ask(picture()).status_code == 200


def test_more_bytes_than_the_queue_holds_are_told_to_come_back(
    held: Service, encoder: SlowEncoder, threads: ThreadPoolExecutor
) -> None:
    occupied(held, encoder, threads)
    padded = picture() + b"\0" * (3500 - len(picture()))
    ask = threads.submit(held.ask, padded)
    waiting(held, 2)
    detail = held.problem(held.ask(padded), 503, "overloaded")
    assert "bytes of 4000" in detail
    encoder.free.set()
    assert ask.result().status_code == 200
    assert held.ask(padded).status_code == 200
    assert held.engine.gate.bytes == 0


def test_an_answer_that_takes_too_long_is_a_503(tmp_path: Path, encoder: SlowEncoder) -> None:
    with serving(tmp_path / "cache", encoder=encoder, request_timeout=0.2) as service:
        encoder.hold()
        response = service.teach("red", picture())
        assert "longer than 0.2 seconds" in service.problem(response, 503, "timeout")
        encoder.free.set()
        assert service.teach("red", picture()).status_code in (200, 201)


def test_a_large_request_is_encoded_in_parts(held: Service, encoder: SlowEncoder) -> None:
    files = [("image", picture(mark=mark)) for mark in range(10)]
    results = held.http.post("/classify/batch", files=files).json()["results"]
    assert [each["label"] for each in results] == ["red"] * 10
    assert encoder.batches == [4, 4, 2]


def test_one_image_does_not_wait_for_the_bulk_before_it(
    tmp_path: Path, encoder: SlowEncoder, threads: ThreadPoolExecutor
) -> None:
    with serving(tmp_path / "cache", encoder=encoder, max_batch=4) as service:
        assert service.teach("red", picture(RED)).status_code == 201
        encoder.batches.clear()
        first = occupied(service, encoder, threads)
        files = [("image", picture(mark=mark)) for mark in range(20)]
        bulk = threads.submit(service.http.post, "/classify/batch", files=files)
        marks = range(30, 42)
        taught = threads.submit(service.teach, "red", *[picture(mark=mark) for mark in marks])
        waiting(service, 3)
        single = threads.submit(service.ask, picture(mark=1))
        waiting(service, 4)
        encoder.stop_at(3)
        encoder.free.set()
        assert first.result(10).status_code == 200
        # The batch that ran, and one more; the next is held.
        assert single.result(10).status_code == 200
        assert not bulk.done()
        assert not taught.done()
        encoder.go_on()
        assert [each["label"] for each in bulk.result(10).json()["results"]] == ["red"] * 20
        assert len(taught.result(10).json()["shot_ids"]) == 12
        assert encoder.batches == [1] + [4] * 8 + [1]


def test_online_views_are_crops_and_their_mean_is_the_key(tmp_path: Path) -> None:
    encoder = SlowEncoder()
    with serving(tmp_path / "cache", encoder=encoder, online_views=3) as service:
        encoder.batches.clear()
        assert service.teach("red", picture(), picture(GREEN)).status_code == 201
        assert encoder.batches == [6]
        assert service.ask(picture()).status_code == 200
        assert encoder.batches == [6, 1]


def test_a_failing_device_is_a_500_and_the_next_request_is_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = SlowEncoder()
    with serving(tmp_path / "cache", encoder=encoder) as service:
        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR, "xmadapter"):
            patch.setattr(encoder, "encode_images", _broken)
            response = service.teach("red", picture())
        detail = service.problem(response, 500, "internal")
        assert "out of memory" not in detail
        assert "out of memory" in caplog.text
        assert caplog.records[-1].fields["request_id"] == response.json()["request_id"]  # type: ignore[attr-defined]
        assert service.teach("red", picture()).status_code == 201


def _broken(pixels: object) -> None:
    raise RuntimeError("out of memory")


def test_fits_run_beside_the_answers_and_are_installed_between_them(
    held: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, free = threading.Event(), threading.Event()
    fitting: list[str] = []
    plain = CacheSnapshot.fit

    def slow(snapshot: CacheSnapshot) -> Fitted:
        fitting.append(threading.current_thread().name)
        began.set()
        assert free.wait(30)
        return plain(snapshot)

    monkeypatch.setattr(CacheSnapshot, "fit", slow)
    held.teach("red", picture(mark=1))
    assert began.wait(10)
    before = held.engine.cache.fitted_version
    for mark in (2, 3, 4):
        assert held.teach("green", picture(GREEN, mark=mark)).status_code == 201
        assert held.ask(picture(GREEN)).json()["label"] == "green"
    assert held.engine.cache.fitted_version == before < held.version
    free.set()
    held.settle()
    # One for the first change, one more for the three that came during it.
    assert fitting == ["xmadapter-refit"] * 2


def test_a_fit_that_was_due_when_it_stopped_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, serving(tmp_path / "cache") as service:
        patch.setattr(CacheSnapshot, "fit", _broken)
        service.teach("red", picture())
        version = service.version
    with serving(tmp_path / "cache") as service:
        service.settle()
        assert service.version == version


def test_what_is_in_flight_at_the_end_is_answered(tmp_path: Path, encoder: SlowEncoder) -> None:
    with ThreadPoolExecutor(4) as threads, contextlib.ExitStack() as stack:
        service = stack.enter_context(serving(tmp_path / "cache", encoder=encoder))
        encoder.hold()
        # A client of its own: the service's is closed before the service is.
        adds = [
            threads.submit(
                httpx.post,
                f"{service.url}/cache/add",
                data={"label": "red"},
                files={"image": picture(mark=mark)},
                timeout=30,
            )
            for mark in range(3)
        ]
        eventually(lambda: service.engine.gate.requests == 3)
        assert encoder.began.wait(10)
        threading.Timer(0.3, encoder.free.set).start()
        stack.close()
        assert [each.result().status_code for each in adds] == [201] * 3
    with serving(tmp_path / "cache") as service:
        assert service.http.get("/cache").json()["shots"] == 3


def test_what_waits_for_decoding_at_the_end_is_told(tmp_path: Path) -> None:
    busy = threading.Event()

    async def scenario(engine: Engine) -> None:
        for _ in range(2):
            engine.pool.submit(busy.wait, 30)
        asking = asyncio.create_task(engine.classify([picture()], ClassifyQuery()))
        await asyncio.sleep(0)
        engine.pool.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(Closed, match="shutting down"):
            await asyncio.wait_for(asking, 5)

    with serving(tmp_path / "cache") as service:
        assert service.teach("red", picture()).status_code == 201
        try:
            asyncio.run(scenario(service.engine))
        finally:
            busy.set()


def test_ending_while_it_loads_does_not_wait_for_it(tmp_path: Path, encoder: SlowEncoder) -> None:
    encoder.hold()
    began = time.monotonic()
    with serving(tmp_path / "cache", encoder=encoder, wait=False):
        assert encoder.began.wait(10)
    assert time.monotonic() - began < 10
    encoder.free.set()


def test_the_event_loop_is_never_blocked(
    held: Service, encoder: SlowEncoder, threads: ThreadPoolExecutor
) -> None:
    occupied(held, encoder, threads)
    for _ in range(5):
        began = time.monotonic()
        assert held.http.get("/healthz").status_code == 200
        assert held.http.get("/cache").status_code == 200
        assert time.monotonic() - began < 5
    encoder.free.set()


def test_calls_from_many_callers_at_once(held: Service) -> None:
    async def scenario() -> list[str]:
        limits = httpx.Limits(max_connections=5)
        async with httpx.AsyncClient(base_url=held.url, timeout=30, limits=limits) as http:
            answers = await asyncio.gather(
                *(
                    http.post("/classify", files={"image": picture(colour, mark=mark)})
                    for mark in range(10)
                    for colour in (RED, GREEN)
                )
            )
        return [answer.json()["label"] for answer in answers]

    assert asyncio.run(scenario()) == ["red", "green"] * 10
