"""What keys have used, counted by several workers together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.errors import Problem
from service.keys import make
from service.ledger import KEYS, SharedLedger
from service.limits import Limits
from service.settings import Settings

MUCH = 1_000_000


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[list[SharedLedger]]:
    with ExitStack() as opened:
        ledgers = [SharedLedger(tmp_path / "ledger", 2, worker) for worker in range(2)]
        for ledger in ledgers:
            opened.callback(ledger.close)
        yield ledgers


def test_a_rate_holds_for_both_together(pair: list[SharedLedger]) -> None:
    def enter(worker: int, now: float) -> float | None:
        return pair[worker].enter("0a", MUCH, rate=2, burst=3, now=now)

    assert [enter(turn % 2, 10) for turn in range(4)] == [0, 0, 0, 0.5]
    assert enter(1, 10.25) == 0.25
    # A processor whose clock is a little behind takes nothing back.
    assert enter(0, 10.2) == 0.25
    assert [enter(0, 10.5), enter(1, 10.5)] == [0, 0.5]
    assert pair[1].enter("0b", MUCH, rate=2, burst=1, now=10.5) == 0


def test_concurrency_holds_for_both_and_is_given_back(pair: list[SharedLedger]) -> None:
    def enter(worker: int) -> float | None:
        return pair[worker].enter("ffffffffffff", 2, rate=MUCH, burst=MUCH, now=0)

    assert [enter(0), enter(1), enter(0), enter(1)] == [0, 0, None, None]
    pair[1].leave("ffffffffffff")
    assert [enter(0), enter(1)] == [0, None]


def test_a_worker_that_begins_takes_back_what_the_one_before_held(
    pair: list[SharedLedger], tmp_path: Path
) -> None:
    for ledger in pair:
        assert ledger.enter("0a", 2, rate=1, burst=5, now=0) == 0
    again = SharedLedger(tmp_path / "ledger", 2, 1)
    assert [again.enter("0a", 2, rate=1, burst=5, now=0) for _ in range(2)] == [0, None]
    # The tokens stay taken.
    pair[0].leave("0a")
    assert [again.enter("0a", MUCH, rate=1, burst=5, now=0) for _ in range(3)] == [0, 0, 1]
    again.close()


def test_keys_with_the_same_place_are_apart_and_idle_ones_make_room(
    pair: list[SharedLedger],
) -> None:
    def enter(key: int, now: float) -> float | None:
        return pair[key % 2].enter(f"{key * KEYS:x}", 1, rate=0.001, burst=1, now=now)

    assert enter(0, 0) == 0
    for key in range(1, 40):
        assert enter(key, key) == 0
        pair[key % 2].leave(f"{key * KEYS:x}")
    # It was seen first, and is under way.
    assert enter(0, 41) is None
    assert enter(39, 41) == pytest.approx(998)


def test_limits_are_held_by_a_shared_ledger(pair: list[SharedLedger]) -> None:
    one, other = (Limits(Settings(), lambda: 0.0, ledger) for ledger in pair)
    _, key = make("me", ["read"], rate=1, burst=2, concurrency=1)
    with one.enter(key), pytest.raises(Problem, match="at most 1"), other.enter(key):
        pass
    with other.enter(key):
        pass
    with pytest.raises(Problem, match="1 requests a second, and 2 at once"), one.enter(key):
        pass
