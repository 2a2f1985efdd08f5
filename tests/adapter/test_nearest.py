"""The k largest, against a sort."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.nearest import GROUP, nearest


@settings(max_examples=60, deadline=None)
@given(
    queries=st.integers(1, 4),
    count=st.integers(0, 12 * GROUP),
    k=st.integers(0, 20),
    levels=st.sampled_from([3, 10**6]),
    by_row=st.booleans(),
    seed=st.integers(0, 999),
)
def test_the_largest_as_a_sort_finds_them(
    queries: int, count: int, k: int, levels: int, by_row: bool, seed: int
) -> None:
    """Few levels make many ties: then rows may differ, values may not."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randint(levels, (queries, count), generator=generator).float()
    given_ = numbers.T.contiguous().T if by_row else numbers
    values, rows = nearest(given_, k)
    expected = numbers.sort(dim=1, descending=True).values[:, :k]
    torch.testing.assert_close(values, expected, atol=0, rtol=0)
    torch.testing.assert_close(numbers.gather(1, rows), expected, atol=0, rtol=0)
    assert all(len(set(row)) == min(k, count) for row in rows.tolist())


@pytest.mark.parametrize("at", [0, GROUP - 1, 9 * GROUP, 9 * GROUP + 3])
def test_one_large_number_is_found_wherever_it_is(at: int) -> None:
    numbers = torch.zeros(1, 9 * GROUP + 4)
    numbers[0, at] = 1.0
    values, rows = nearest(numbers, 1)
    assert (float(values[0, 0]), int(rows[0, 0])) == (1.0, at)
