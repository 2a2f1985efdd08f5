"""Load against a server whose answers are known: counts, times from when they were due, errors."""

from __future__ import annotations

import math
import os

import pytest

from benchmarks.performance import load
from benchmarks.performance.load import Load, Target, closed_loop, open_loop, post
from tests.benchmarks.performance.answering import Server, answer, answering


def target(server: Server, *bodies: bytes) -> Target:
    requests = [post(server.url, body, "image/jpeg") for body in bodies or (b"picture",)]
    return Target(server.url, requests, os.getpid())


def test_a_closed_loop_has_one_request_under_way_for_each_connection() -> None:
    with answering(delay=0.01) as server:
        found = closed_loop(target(server, b"a" * 100_000, b"b"), 8, 0.5, 0.1)
    assert server.most == 8
    assert {body[:1] for body in server.asked} == {b"a", b"b"}
    # Those of the warm-up, and those that were still under way at the end, do not count.
    assert len(server.asked) * 0.4 < found.answered < len(server.asked) - 8
    assert found.statuses == {200: found.answered}
    assert found.rate == pytest.approx(found.answered / found.seconds, rel=0.5)
    assert found.milliseconds(0.5) >= 10
    assert found.server_milliseconds is not None
    assert found.server_milliseconds > 0


def test_a_stall_is_seen_by_all_who_were_due_in_it() -> None:
    with answering(stall=(60, 0.4)) as server:
        found = open_loop(target(server), 100, 1.0, 0.2, arrivals="even")
    assert sum(found.statuses.values()) == pytest.approx(100, abs=1)
    slow = [seconds for seconds in found.times if seconds > 0.1]
    assert 25 <= len(slow) <= 60
    assert 390 < found.milliseconds(1.0) < 800
    # Callers who wait for their answers would have seen it once.
    with answering(stall=(60, 0.4)) as server:
        found = closed_loop(target(server), 1, 0.8, 0.0)
    assert sum(seconds > 0.3 for seconds in found.times) == 1


def test_time_spent_waiting_for_a_connection_counts() -> None:
    with answering(delay=0.05) as server:
        found = open_loop(target(server), 40, 0.8, 0.0, connections=1, arrivals="even")
    assert server.most == 1
    assert found.milliseconds(1.0) > 400
    assert found.late > 15
    assert found.lag > 0.3


def test_arrivals_are_at_random_and_the_same_for_a_seed() -> None:
    with answering() as server:
        counts = [
            sum(open_loop(target(server), 200, 0.5, 0.0, seed=seed).statuses.values())
            for seed in (1, 1, 2)
        ]
    assert counts[0] == counts[1] != counts[2]
    assert counts[0] == pytest.approx(100, abs=40)


def test_errors_are_counted_and_make_no_percentile_better() -> None:
    with answering(lambda number: answer(503 if number % 4 == 3 else 200)) as server:
        found = open_loop(target(server), 100, 0.5, 0.0, arrivals="even")
    assert found.failed == found.statuses[503] == pytest.approx(12, abs=1)
    assert found.answered == found.statuses[200]
    assert found.milliseconds(0.7) < 400
    assert found.milliseconds(0.8) == math.inf


def test_a_connection_that_ends_is_an_error_and_is_opened_again() -> None:
    with answering(lambda number: None if number % 10 == 9 else answer()) as server:
        for found in (
            closed_loop(target(server), 2, 0.5, 0.0),
            open_loop(target(server), 100, 0.5, 0.0, connections=2, arrivals="even"),
        ):
            assert found.statuses[0] * 7 < found.answered < found.statuses[0] * 13


def test_what_is_never_answered_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "GRACE_SECONDS", 0.1)
    with answering(delay=60) as server:
        found = closed_loop(target(server), 3, 0.1, 0.0)
        assert found.statuses == {0: 3}
        found = open_loop(target(server), 100, 0.1, 0.0, connections=2, arrivals="even")
    assert found.statuses == {0: pytest.approx(10, abs=1)}
    assert found.milliseconds(0.1) == math.inf
    assert found.server_milliseconds is None


def test_an_answer_without_a_length_ends_the_load() -> None:
    with (
        answering(lambda number: b"HTTP/1.1 200 OK\r\n\r\n") as server,
        pytest.raises(RuntimeError, match="expected an answer with Content-Length"),
    ):
        closed_loop(target(server), 1, 0.5, 0.0)


def test_only_this_machine_is_asked_and_not_for_long() -> None:
    with pytest.raises(ValueError, match="address of this machine"):
        Target("http://192.0.2.1/classify", [b"x"])
    with pytest.raises(ValueError, match="at least one request"):
        Target("http://127.0.0.1/classify", [])
    here = Target("http://127.0.0.1:9/classify", [b"x"])
    with pytest.raises(ValueError, match="at most 120 s, got 121 s"):
        closed_loop(here, 1, 120, 1)
    with pytest.raises(ValueError, match="above 0"):
        open_loop(here, 0.0, 1)


def test_the_rate_does_not_depend_on_how_many_batches_end_in_time() -> None:
    # Four callers, all answered at once each second: in 2.5 s one sees two batches, or three.
    for batches in (2, 3):
        found = Load(2.5, None, 4, {200: 4 * batches}, (1.0,) * 4 * batches, 0, 0.0, 5.0, 0.0)
        assert found.rate == pytest.approx(4)
        assert found.server_milliseconds == pytest.approx(500)


def test_figures_of_a_load() -> None:
    times = (0.010, 0.020, 0.030, math.inf)
    found = Load(2.0, None, 4, {200: 3, 503: 1}, times, 0, 0.0, 0.006, 0.0004)
    assert found.rate == 1.5
    assert found.failed == 1
    assert found.server_milliseconds == pytest.approx(2.0)
    assert found.client_microseconds == pytest.approx(100.0)
    assert [found.milliseconds(part) for part in (0.25, 0.5, 0.75)] == [10, 20, 30]
    assert found.milliseconds(0.99) == math.inf
