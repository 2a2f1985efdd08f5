from __future__ import annotations

import numpy as np
import pytest
import torch

from indexer.errors import FeatureError, PromptError
from indexer.records import Placed, StoredAdd
from indexer.shots import Added, NewShot, to_store


def test_keys_are_brought_to_unit_norm_and_views_to_half_precision() -> None:
    views = torch.eye(4)[:2]
    shot = NewShot(torch.tensor([0.0, 3.0, 4.0, 0.0]), "ab", "a caption", b"webp", views)
    (stored,) = to_store([shot], 4)
    np.testing.assert_allclose(stored.key, [0, 0.6, 0.8, 0])
    assert stored.key.dtype == np.float32
    assert stored.views is not None
    assert stored.views.dtype == np.float16
    np.testing.assert_array_equal(stored.views, views.numpy())
    assert (stored.sha256, stored.caption, stored.thumbnail) == ("ab", "a caption", b"webp")


def test_one_bad_shot_refuses_all() -> None:
    good = NewShot(torch.ones(4), "a")
    for bad in (torch.full((4,), float("nan")), torch.zeros(4)):
        with pytest.raises(FeatureError):
            to_store([good, NewShot(bad, "b")], 4)
    with pytest.raises(FeatureError, match=r"width 4, got \(1, 5\)"):
        to_store([good, NewShot(torch.ones(5), "b")], 4)
    with pytest.raises(FeatureError, match=r"width 4, got \(2, 3\)"):
        to_store([NewShot(torch.ones(4), "b", views=torch.ones(2, 3))], 4)
    with pytest.raises(FeatureError, match="width 5"):
        to_store([good], 5)
    with pytest.raises(PromptError):
        to_store([good, NewShot(torch.ones(4), "b", "\ud800")], 4)


def test_what_was_added_is_told_in_the_order_of_the_shots() -> None:
    placed = (Placed("x", created=True, merged=True), Placed("y", created=False, merged=False))
    added = Added.of("cat", StoredAdd(placed, 7, 4))
    assert added == Added(("x", "y"), (True, False), (True, False), "cat", 7, 4)
