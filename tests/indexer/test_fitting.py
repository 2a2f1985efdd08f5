from __future__ import annotations

import torch

from adapter.fit import Fit
from adapter.head import Hits
from adapter.networks import Networks
from adapter.support import SupportSet
from indexer.fitting import CacheSnapshot, moved
from tests.indexer.helpers import WIDTH, directions


def snapshot(shots: int) -> CacheSnapshot:
    targets = torch.arange(shots) % 2
    keys = torch.nn.functional.normalize(
        0.5 * directions(shots, seed=0) + directions(2, seed=1)[targets], dim=1
    )
    classifier = directions(2, seed=2)
    support = SupportSet(("a", "b"), classifier, 10.0, keys, targets, classifier, targets)
    return CacheSnapshot(lambda: support, 5, Networks.initial(WIDTH), "full")


def test_a_fit_knows_its_version_and_its_shots() -> None:
    fitted = snapshot(12).fit()
    assert (fitted.version, fitted.fit.method, fitted.fit.shots) == (5, "full", 12)
    assert fitted.head.distances is not None


def test_numbers_that_there_are_make_the_same_head_as_their_fit() -> None:
    fitted = snapshot(12).fit()
    again = snapshot(12).head(Fit.from_json(fitted.fit.to_json()))
    queries = directions(4, seed=3)
    hits = Hits(torch.zeros(4, 12)), Hits(torch.zeros(4, 2))
    torch.testing.assert_close(
        again.head.score(queries, *hits).logits, fitted.head.score(queries, *hits).logits
    )


def test_a_head_without_covariance_moves_too() -> None:
    fitted = snapshot(0).fit()
    assert fitted.head.distances is None
    assert moved(fitted.head, torch.device("cpu")) is fitted.head


def test_a_moved_head_has_its_covariance_there() -> None:
    head = moved(snapshot(12).fit().head, torch.device("meta"))
    assert head.distances is not None
    assert head.distances.precision.device.type == "meta"
