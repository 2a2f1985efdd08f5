from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.columns import Column

CPU = torch.device("cpu")
WIDTH = 2
STEPS = st.tuples(
    st.sampled_from(["append", "put", "remove", "close_up", "clear", "ask"]),
    st.integers(0, 9),
    st.integers(1, 5),
)


@pytest.mark.parametrize("copied", [False, True])
@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEPS, max_size=40))
def test_the_tensor_has_every_change(copied: bool, steps: list[tuple[str, int, int]]) -> None:
    """The copy is what a device other than the CPU has."""
    column = Column(np.float32, WIDTH, device=CPU, copied=copied)
    rows: list[list[float]] = []
    for at, (step, place, count) in enumerate(steps):
        values = np.full((count, WIDTH), at, np.float32)
        if step == "append":
            column.append(values)
            rows += values.tolist()
        elif step == "ask":
            assert column.tensor.tolist() == rows
        elif step == "clear":
            column.clear()
            rows = []
        elif rows:
            row = place % len(rows)
            if step == "put":
                column.put([row], values[:1])
                rows[row] = values[0].tolist()
            elif step == "remove":
                column.remove(row)
                rows[row] = rows[-1]
                rows.pop()
            else:
                column.close_up(row)
                del rows[row]
    assert column.tensor.tolist() == rows
    assert column.view.tolist() == rows


@pytest.mark.parametrize("copied", [False, True])
def test_what_is_appended_copies_nothing_that_was_there(copied: bool) -> None:
    column = Column(np.int64, device=CPU, copied=copied)
    column.append(np.arange(1000))
    column.append(np.arange(1))
    before = column.tensor
    for number in range(900):
        column.append(np.array([number]))
    after = column.tensor
    assert after.data_ptr() == before.data_ptr()
    assert len(before) == 1001
    assert len(after) == 1901


def test_on_the_cpu_the_tensor_is_the_memory_of_the_rows() -> None:
    column = Column(np.int64, device=CPU)
    column.append(np.arange(3))
    tensor = column.tensor
    column.put([1], np.array([7]))
    assert tensor.tolist() == [0, 7, 2]
    assert not column._written


@pytest.mark.gpu
def test_on_a_gpu_it_is_the_same() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    device = torch.device("cuda")
    column = Column(np.float32, WIDTH, device=device)
    chance = np.random.default_rng(0)
    for _ in range(50):
        column.append(chance.standard_normal((3, WIDTH)).astype(np.float32))
        column.put([0, 2], chance.standard_normal((2, WIDTH)).astype(np.float32))
        column.remove(1)
        assert column.tensor.device.type == "cuda"
        assert column.tensor.tolist() == column.view.tolist()
