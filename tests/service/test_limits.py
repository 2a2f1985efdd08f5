"""How much a key may ask, by a clock of the test's own."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from service.errors import Problem
from service.keys import Key, make
from service.limits import Bucket, Limits
from service.settings import Settings


class Clock:
    """Seconds that only the test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def key(**limits: float) -> Key:
    return make("me", ["read"], **limits)[1]  # type: ignore[arg-type]


def refused(limits: Limits, key: Key) -> Problem:
    with pytest.raises(Problem) as raised, limits.enter(key):
        pass
    assert raised.value.kind == "rate-limited"
    return raised.value


def test_a_bucket_is_full_at_first_refills_evenly_and_holds_no_more() -> None:
    bucket = Bucket(rate=2, burst=3, at=0)
    assert [bucket.take(0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert bucket.take(0.25) == 0.25
    assert bucket.take(0.5) == 0
    assert bucket.take(0.5) == 0.5
    assert [bucket.take(1000) for _ in range(4)] == [0, 0, 0, 0.5]


def test_beyond_its_burst_a_key_waits_and_is_told_how_long() -> None:
    clock = Clock()
    limits = Limits(Settings(), clock)
    mine = key(rate=0.25, burst=2)
    for _ in range(2):
        with limits.enter(mine):
            pass
    problem = refused(limits, mine)
    assert problem.headers["Retry-After"] == "4"
    assert "0.25 requests a second, and 2 at once" in problem.detail
    clock.now += 4
    with limits.enter(mine):
        pass
    refused(limits, mine)


def test_requests_under_way_are_limited_and_given_back_on_errors() -> None:
    limits = Limits(Settings())
    mine = key(concurrency=2)
    with ExitStack() as held:
        held.enter_context(limits.enter(mine))
        with pytest.raises(ZeroDivisionError), limits.enter(mine):
            raise ZeroDivisionError
        held.enter_context(limits.enter(mine))
        problem = refused(limits, mine)
        assert problem.headers["Retry-After"] == "1"
        assert "at most 2" in problem.detail
    with limits.enter(mine):
        pass


def test_a_refusal_for_what_is_under_way_costs_no_token() -> None:
    limits = Limits(Settings(), Clock())
    mine = key(rate=1, burst=2, concurrency=1)
    with limits.enter(mine):
        refused(limits, mine)
    with limits.enter(mine):
        pass


def test_a_key_without_limits_has_the_settings_and_its_own_count() -> None:
    limits = Limits(Settings(key_rate=1, key_burst=1, key_concurrency=1), Clock())
    mine, yours = key(), key()
    with limits.enter(mine), limits.enter(yours):
        assert "at most 1 of" in refused(limits, mine).detail
    assert "1 requests a second, and 1 at once" in refused(limits, mine).detail
