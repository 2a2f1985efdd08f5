"""Made-up features, the head against the dense formula, and lists against all keys, in small."""

from __future__ import annotations

import pytest
import torch

from benchmarks.performance.features import CLIP_LIKE, ISOTROPIC, Crowd, World, balanced
from benchmarks.performance.heads import (
    FITS,
    Contest,
    Numbers,
    against_dense,
    alone,
    in_turns,
    numbers_for,
)
from benchmarks.performance.lists import lists_against_exact


@pytest.mark.parametrize("world", [CLIP_LIKE, ISOTROPIC])
def test_features_are_spread_as_their_world_says(world: World) -> None:
    crowd = Crowd.of(world, 20, 64, seed=0)
    targets = balanced(1_000, 20, seed=1)
    features = crowd.draw(targets, seed=2)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(1_000))
    assert torch.equal(features, crowd.draw(targets, seed=2))
    assert torch.bincount(targets).tolist() == [50] * 20
    # A common mean, and classes that lie apart within the noise.
    assert float(features.mean(0).square().sum()) == pytest.approx(
        world.mean / (1 + world.mean), rel=0.35
    )
    cosines, same = features @ features.T, targets[:, None] == targets
    apart = float(cosines[same].mean() - cosines[~same].mean())
    assert 0.05 < apart < 0.6
    assert float(cosines[~same].max()) > float(cosines[same].median())


def test_turns_are_taken_and_the_first_does_not_count() -> None:
    calls: list[str] = []
    contest = in_turns(lambda: calls.append("ours"), lambda: calls.append("theirs"), 2)
    assert calls == ["ours", "theirs"] * 3
    assert isinstance(contest, Contest)
    assert len(contest.ours) == len(contest.theirs) == 2


@pytest.mark.parametrize("numbers", ["full", "paper"])
def test_the_head_is_measured_beside_the_dense_formula(numbers: Numbers) -> None:
    contest = against_dense(numbers, 0, 1, shots=400, classes=10)
    assert min(*contest.ours, *contest.theirs) > 0
    assert len(alone(numbers, 0, 2, shots=1_000, queries=2)) == 2


def test_lists_are_measured_beside_all_keys() -> None:
    found = lists_against_exact(2_000, 0, queries=64, repeats=1, probes=50, classes=10)
    assert (found.lists, found.probes) == (51, 50)
    assert found.agreement.keys() == FITS.keys()
    assert found.recall[5] > 0.9
    assert all(each.same_top > 0.9 for each in found.agreement.values())
    assert found.agreement["paper"].tail > 0
    assert found.train_seconds > 0


def test_weights_make_up_for_more_evidence() -> None:
    assert numbers_for("full", 104).image_weight == pytest.approx(0.0109)
    assert numbers_for("paper", 104) == FITS["paper"]
