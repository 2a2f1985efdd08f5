from __future__ import annotations

import pytest
import torch

from adapter.gaussian import Distances
from indexer.distances import MovingDistances
from tests.indexer.helpers import directions

WIDTH = 8


def precision(seed: int) -> torch.Tensor:
    root = directions(WIDTH, seed, WIDTH)
    return root @ root.T


def assert_equal(found: Distances, expected: Distances) -> None:
    torch.testing.assert_close(found.weights, expected.weights)
    torch.testing.assert_close(found.bias, expected.bias)
    assert found.precision is expected.precision


def test_rows_that_moved_are_computed_again_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    moving, means, shape = MovingDistances(), directions(5, 1, WIDTH), precision(2)
    assert_equal(moving.to(means, shape, None), Distances.to(means, shape))
    means[[1, 3]] = directions(2, 3, WIDTH)
    expected = Distances.to(means, shape)
    sizes: list[int] = []
    whole = Distances.to

    def counted(rows: torch.Tensor, precision: torch.Tensor) -> Distances:
        sizes.append(len(rows))
        return whole(rows, precision)

    monkeypatch.setattr(Distances, "to", counted)
    assert_equal(moving.to(means, shape, [1, 3]), expected)
    assert_equal(moving.to(means, shape, []), expected)
    assert sizes == [2]


def test_classes_that_come_have_their_rows() -> None:
    moving, means, shape = MovingDistances(), directions(9, 1, WIDTH), precision(2)
    for count in (0, 1, 2, 3, 8, 9):
        before = max(count - 1, 0) if count != 8 else 3
        moved = None if count == 0 else list(range(before, count))
        found = moving.to(means[:count], shape, moved)
        assert_equal(found, Distances.to(means[:count], shape))


def test_another_precision_counts_for_all() -> None:
    moving, means = MovingDistances(), directions(4, 1, WIDTH)
    moving.to(means, precision(2), None)
    other = precision(3)
    assert_equal(moving.to(means, other, []), Distances.to(means, other))
