"""A small part of the attacks, and that a door that stands open is seen.

How long other callers wait is not looked at here: other tests run on the same cores.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pytest
from PIL import Image

from benchmarks.server import Server
from benchmarks.torture import attacks, door
from benchmarks.torture.door import Goal
from benchmarks.torture.row import Clock
from benchmarks.torture.wire import Reply
from service.client import Client
from tests.service.serving import RED, Service, picture, serving


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("cache"), header_timeout=0.3) as service:
        service.teach("red", picture(RED))
        yield service


# Those that have to wait for a limit of seconds are left to the full run.
QUICK = [goal for goal in door.goals(0.3) if goal.name != "slow_bodies"]


@pytest.mark.parametrize("goal", QUICK, ids=lambda goal: goal.name)
def test_an_attack_is_refused(attacked: Service, goal: Goal) -> None:
    outcome = attacks.Outcome()
    attacks.attack(goal.name, attacked.url, 0.3, 20, outcome)
    statuses = {int(status) for status in outcome.statuses}
    assert statuses <= set(goal.statuses), outcome
    assert outcome.slowest <= goal.within + 2
    assert attacked.ask(picture(RED)).status_code == 200


GOAL = Goal("bombs", "bombs", (413,), 2.0)
FAST = [Reply(200, 0.010)] * 100


@pytest.mark.parametrize(
    ("statuses", "during", "growth", "reached"),
    [
        ({"413": 9}, [Reply(200, 0.019)] * 100, 10.0, True),
        ({"413": 9, "200": 1}, FAST, 10.0, False),
        ({}, FAST, 10.0, False),
        ({"413": 9}, [Reply(200, 0.021)] * 100, 10.0, False),
        ({"413": 9}, [*FAST, Reply(503, 0.001)], 10.0, False),
        ({"413": 9}, FAST, 1000.0, False),
    ],
)
def test_the_goal_is_that_it_is_refused_and_others_hardly_notice(
    statuses: dict[str, int], during: list[Reply], growth: float, reached: bool
) -> None:
    found = {"statuses": statuses, "slowest": 1.0}
    assert door._row(GOAL, Clock(), found, FAST, during, growth).reached is reached


def test_a_late_refusal_is_seen() -> None:
    found = {"statuses": {"413": 9}, "slowest": 2.1}
    assert not door._row(GOAL, Clock(), found, FAST, FAST, 0.0).reached


def test_one_row_is_measured_with_the_attack_in_its_own_process(attacked: Service) -> None:
    with Client(attacked.url) as client:
        server = Server(client, os.getpid(), 0.0, attacked.url)
        row = door._attacked(server, GOAL, 0.5, 5)
    assert "refused with 413" in row.figure
    assert "otherwise" not in row.figure
    assert "0 failed" in row.figure


def test_the_bombs_are_images_of_far_more_pixels_than_bytes() -> None:
    bomb = attacks.png(10_000, 10_000, 10_000)
    assert len(bomb) < 200_000
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(io.BytesIO(bomb)) as image:
            assert image.size == (10_000, 10_000)
        with Image.open(io.BytesIO(attacks.claiming_jpeg(65_000))) as image:
            assert image.size == (65_000, 65_000)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
