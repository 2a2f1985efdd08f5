from __future__ import annotations

import os
from pathlib import Path

from benchmarks.performance import growth


def test_adds_are_measured_at_both_sizes_block_by_block(tmp_path: Path) -> None:
    small, large = growth.add_costs(tmp_path, 100, 200, 2 * growth.BLOCK)
    for costs in (small, large):
        for each in (costs.commit, costs.memory, costs.first, costs.again):
            assert len(each) == 2
            assert all(value > 0 for value in each)


def test_what_a_process_has_in_memory_is_never_more_than_its_most() -> None:
    now, most = growth._resident(os.getpid())
    assert 2**20 < now <= most


def test_what_a_start_takes_beyond_the_model_is_told_run_by_run() -> None:
    assert growth.Starts((2.0, 3.0), (3.0, 3.5), (4.0, 4.5)).beyond == (2.0, 1.5)
