"""What a batch takes: one image waits behind no bulk, bulk comes to an end, order is kept."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from service.batching import Job
from service.sharing import Sharing


class Ordered(Job):
    """As changes are."""

    in_order = True


def batches(sharing: Sharing, waiting: Sequence[Job]) -> list[dict[Job, int]]:
    """All batches that it takes, when nothing more comes."""
    left, found = list(waiting), []
    while left:
        found.append(dict(sharing.next_batch(left)))
        assert found[-1], "a batch of nothing"
        left = [job for job in left if job.left or job not in found[-1]]
    return found


def test_one_image_goes_with_the_next_batch_whatever_bulk_came_before_it() -> None:
    bulk = [Job(4096), Job(128), Job(128), Ordered(4096)]
    single = Job(1)
    first = dict(Sharing(64).next_batch([*bulk, single]))
    assert first[single] == 1
    assert sum(first.values()) == 64


def test_large_jobs_share_the_room_equally_and_small_rests_leave_theirs_to_others() -> None:
    short, long, longer = Job(9), Job(100), Job(200)
    first = dict(Sharing(64).next_batch([longer, short, long]))
    assert first == {short: 9, long: 28, longer: 27}


@pytest.mark.parametrize("room", [1, 3, 4, 64])
def test_bulk_comes_to_an_end_though_there_are_always_enough_small_ones(room: int) -> None:
    sharing, bulk = Sharing(room), Job(10 * room)
    served = 0
    for _ in range(41):
        singles = [Job(1) for _ in range(2 * room)]
        taken = dict(sharing.next_batch([bulk, *singles] if bulk.left else singles))
        assert sum(taken.values()) == room
        served += sum(1 for job in singles if job in taken)
    assert bulk.left == 0
    assert served == 41 * room - 10 * room


def test_a_lone_large_job_gets_all_of_every_batch() -> None:
    job = Job(150)
    assert batches(Sharing(64), [job]) == [{job: 64}, {job: 64}, {job: 22}]


def test_changes_are_not_begun_before_those_ahead_are_sure_to_be_finished() -> None:
    large, small, none = Ordered(100), Ordered(1), Ordered(0)
    question, embedding = Job(1), Job(0)
    waiting = [large, small, none, question, embedding]
    first, second, third = batches(Sharing(64), waiting)
    assert first == {large: 63, question: 1, embedding: 0}
    assert second == {large: 37}
    assert third == {small: 1, none: 0}


def test_changes_that_fit_together_are_taken_together_in_their_order() -> None:
    changes = [Ordered(1), Ordered(0), Ordered(2), Ordered(1)]
    portions = Sharing(64).next_batch(changes)
    assert [job for job, _ in portions] == changes
    assert not any(job.left for job in changes)


def test_a_small_change_that_does_not_fit_holds_up_those_after_it() -> None:
    first, second = Ordered(8), Ordered(1)
    questions = [Job(1) for _ in range(60)]
    taken = dict(Sharing(64).next_batch([*questions, first, second]))
    assert first not in taken
    assert second not in taken


def test_what_has_no_images_is_never_held_up_by_those_that_have() -> None:
    tasks = [Job(0) for _ in range(3)]
    taken = dict(Sharing(2).next_batch([Job(1), Job(1), Job(50), *tasks]))
    assert all(task in taken for task in tasks)
