"""Every group can be had, and all together fit into the ten minutes."""

from __future__ import annotations

import pytest

from benchmarks.performance import registry
from benchmarks.performance.__main__ import TOTAL_SECONDS


def test_every_group_has_rows_of_its_own() -> None:
    groups = [registry.group(name) for name in (*registry.CPU, *registry.GPU)]
    assert [group.name for group in groups] == [*registry.CPU, *registry.GPU]
    names = [row.name for group in groups for row in group.rows]
    assert len(names) == len(set(names))
    assert all(not row.ours for group in groups for row in group.rows)


def test_the_groups_fit_into_the_ten_minutes() -> None:
    for names in (registry.CPU, registry.GPU):
        assert sum(registry.group(name).seconds for name in names) <= TOTAL_SECONDS


def test_a_group_that_does_not_exist_is_told() -> None:
    with pytest.raises(ValueError, match=r"expected one of .*gpu, got 'nonsense'"):
        registry.group("nonsense")
