"""Inner products of many keys with a few queries, against double precision."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from adapter import products
from adapter.products import MANY, products_by_key


@pytest.mark.parametrize("count", [0, 1, MANY - 1, MANY, MANY + 77])
@pytest.mark.parametrize("queries", [1, 7, 64])
def test_they_are_exact_to_float32(count: int, queries: int) -> None:
    generator = torch.Generator().manual_seed(count + queries)
    keys = normalize(torch.randn(count, 96, generator=generator), dim=1)
    asked = normalize(torch.randn(queries, 96, generator=generator), dim=1)
    found = products_by_key(keys, asked)
    assert found.shape == (count, queries)
    assert found.dtype == torch.float32
    expected = keys.double() @ asked.double().T
    # Sums of 96 products of at most 1 in all: some units in the last place.
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=0)


def test_what_does_not_lie_in_one_piece_is_taken_too() -> None:
    keys = normalize(torch.randn(2 * MANY, 32), dim=1)[::2]
    asked = normalize(torch.randn(32, 5), dim=0).T
    torch.testing.assert_close(products_by_key(keys, asked), keys @ asked.T, atol=1e-6, rtol=0)


def test_without_onednn_it_is_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_has_onednn", lambda: False)
    keys, asked = torch.randn(MANY, 8), torch.randn(3, 8)
    assert products_by_key(keys, asked).equal(keys @ asked.T)
