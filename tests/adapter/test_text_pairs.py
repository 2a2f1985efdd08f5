from __future__ import annotations

from collections import Counter

import pytest
import torch

from adapter.text_pairs import TextPairs


def test_each_pair_of_class_and_text_is_counted_once() -> None:
    targets, rows = [2, 0, 2, 2, 0, 1], [3, 0, 3, 1, 0, 0]
    pairs = TextPairs.of(torch.tensor(targets), torch.tensor(rows))
    found = zip(pairs.classes.tolist(), pairs.texts.tolist(), strict=True)
    counts = dict(zip(found, pairs.counts.tolist(), strict=True))
    assert counts == Counter(zip(targets, rows, strict=True))
    assert len(pairs.counts) == len(counts)
    assert pairs.texts_in_use == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_there_are_none_without_shots(dtype: torch.dtype) -> None:
    none = torch.zeros(0, dtype=torch.int64)
    pairs = TextPairs.of(none, none, dtype)
    assert pairs.classes.shape == pairs.texts.shape == pairs.counts.shape == (0,)
    assert pairs.counts.dtype == dtype
    assert pairs.texts_in_use == 0
