"""One set of scenarios over every kind of index that the machine has, against plain NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from indexer.errors import IndexUnavailable
from indexer.faiss_index import FaissIvfIndex, train
from indexer.gpu_index import GpuIndex, summed_in_single
from indexer.index import IndexKind, KeyIndex, NumpyIndex, Rows, make_index

WIDTH = 16
# Sums of 16 products of float32 below 1, in whatever order a kind adds them up: a few ulp of 1.
TOLERANCE = 2e-6
# Keys, and on a GPU queries too, in half precision: 2^-11 of each number. Keys of length 3 here.
HALF = 3 * 2**-10

without_gpu = None if torch.cuda.is_available() else "torch finds no CUDA device"
gpu = [pytest.mark.gpu, pytest.mark.skipif(bool(without_gpu), reason=without_gpu or "")]

Make = Callable[[], KeyIndex]


def unit(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, WIDTH, generator=generator), dim=1)


def make_ivf() -> KeyIndex:
    """With all lists probed, so that the results must be the exact ones."""
    return FaissIvfIndex(WIDTH, train(unit(400, seed=9)), probes=10**6)


@pytest.fixture(
    params=[
        "numpy",
        "faiss-flat",
        pytest.param("faiss-ivf", id="faiss-ivf with all probes"),
        pytest.param("gpu's twin", id="faiss-gpu's on the CPU"),
        pytest.param("faiss-gpu", marks=gpu),
    ]
)
def make(request: pytest.FixtureRequest) -> Make:
    if request.param == "faiss-ivf":
        return make_ivf
    if request.param == "gpu's twin":
        return lambda: GpuIndex(WIDTH, "cpu", reserve=30)
    kind: IndexKind = request.param
    device = "cuda" if kind == "faiss-gpu" else "cpu"
    return lambda: make_index(WIDTH, kind, device)


def assert_holds(index: KeyIndex, expected: Tensor) -> None:
    """Same rows, same similarities, same nearest ones as NumPy finds among `expected`."""
    tolerance = HALF if index.kind in ("faiss-ivf", "faiss-gpu") else TOLERANCE
    reference = expected.double().numpy()
    queries = unit(5, seed=100)
    similarity = queries.double().numpy() @ reference.T
    assert len(index) == len(expected)
    torch.testing.assert_close(index.keys(), expected, atol=0, rtol=0)
    torch.testing.assert_close(index.key(len(expected) - 1), expected[-1], atol=0, rtol=0)
    if index.exact:
        np.testing.assert_allclose(index.similarities(queries), similarity, atol=tolerance)
    k = min(7, len(expected))
    hits = index.search(queries, 7)
    assert hits.rows is not None
    assert hits.similarity.shape == hits.rows.shape == (5, k)
    best = -np.sort(-similarity, axis=1)[:, :k]
    np.testing.assert_allclose(hits.similarity, best, atol=tolerance)
    # Rows may differ among equals, so each is asked for its own similarity.
    found = np.take_along_axis(similarity, hits.rows.numpy(), axis=1)
    np.testing.assert_allclose(found, best, atol=tolerance)
    assert all(len(set(row)) == k for row in hits.rows.tolist())


def test_an_empty_index_finds_nothing(make: Make) -> None:
    index = make()
    hits = index.search(unit(3, seed=0), 5)
    assert len(index) == 0
    assert index.keys().shape == (0, WIDTH)
    assert hits.rows is not None
    assert hits.rows.shape == hits.similarity.shape == (3, 0)
    assert hits.rows.dtype == torch.int64
    if index.exact:
        assert index.similarities(unit(3, seed=0)).shape == (3, 0)


def test_keys_added_in_parts_are_found(make: Make) -> None:
    keys = unit(100, seed=1)
    index = make()
    for start, stop in [(0, 1), (1, 1), (1, 40), (40, 100)]:
        index.add(keys[start:stop])
    assert_holds(index, keys)


def test_more_neighbours_than_keys_gives_all_keys(make: Make) -> None:
    index = make()
    index.add(unit(3, seed=2))
    assert index.search(unit(2, seed=3), 1000).similarity.shape == (2, 3)


def test_no_queries_give_no_hits(make: Make) -> None:
    index = make()
    index.add(unit(3, seed=2))
    assert index.search(torch.zeros(0, WIDTH), 2).similarity.shape == (0, 2)


@pytest.mark.parametrize("row", [0, 5, 9], ids=["first", "middle", "last"])
def test_the_last_row_takes_the_place_of_a_removed_one(make: Make, row: int) -> None:
    keys = unit(10, seed=4)
    index = make()
    index.add(keys)
    index.remove(row)
    expected = keys[:9].clone()
    if row < 9:
        expected[row] = keys[9]
    assert_holds(index, expected)
    # Proven by use, not by look: what is added next goes to the end.
    index.add(unit(2, seed=5))
    assert_holds(index, torch.cat([expected, unit(2, seed=5)]))


def test_rows_get_other_keys_and_stay_where_they_are(make: Make) -> None:
    keys, others = unit(10, seed=4), 3 * unit(3, seed=5)
    index = make()
    index.add(keys)
    index.replace([7, 0, 9], others)
    index.replace([], unit(0, seed=6))
    expected = keys.clone()
    expected[[7, 0, 9]] = others
    assert_holds(index, expected)
    index.remove(0)
    index.add(unit(2, seed=7))
    expected[0] = expected[9]
    assert_holds(index, torch.cat([expected[:9], unit(2, seed=7)]))


def test_a_replacement_that_does_not_fit_is_refused(make: Make) -> None:
    index = make()
    index.add(unit(3, seed=14))
    with pytest.raises(IndexError, match="0 to 2"):
        index.replace([0, 3], unit(2, seed=1))
    with pytest.raises(ValueError, match="a key a row"):
        index.replace([0, 1], unit(1, seed=1))
    assert_holds(index, unit(3, seed=14))


def test_an_index_emptied_row_by_row_takes_keys_again(make: Make) -> None:
    index = make()
    index.add(unit(4, seed=6))
    for _ in range(4):
        index.remove(0)
    assert index.search(unit(1, seed=0), 3).similarity.shape == (1, 0)
    index.add(unit(20, seed=7))
    assert_holds(index, unit(20, seed=7))


def test_an_index_restored_from_its_keys_answers_and_grows_like_the_first(make: Make) -> None:
    first = make()
    first.add(unit(50, seed=8))
    first.remove(11)
    restored = make()
    restored.add(first.keys())
    assert_holds(restored, first.keys())
    for index in (first, restored):
        index.add(unit(3, seed=9))
        index.remove(2)
    assert_holds(restored, first.keys())


def test_equal_keys_are_each_found_once(make: Make) -> None:
    """Ties: eight copies of one key. Which come first is open, that all come is not."""
    index = make()
    index.add(unit(30, seed=10))
    twin = unit(1, seed=11)
    index.add(twin.repeat(8, 1))
    hits = index.search(twin, 8)
    assert hits.rows is not None
    assert sorted(hits.rows[0].tolist()) == list(range(30, 38))
    np.testing.assert_allclose(hits.similarity, 1.0, atol=HALF)


def test_the_keys_given_out_are_a_copy(make: Make) -> None:
    index = make()
    index.add(unit(3, seed=12))
    index.keys().zero_()
    assert_holds(index, unit(3, seed=12))


def test_the_index_does_not_follow_changes_of_what_it_was_given(make: Make) -> None:
    keys = unit(3, seed=13)
    index = make()
    index.add(keys)
    keys.zero_()
    assert_holds(index, unit(3, seed=13))


@pytest.mark.parametrize("keys", [torch.zeros(WIDTH), torch.zeros(2, WIDTH + 1)])
def test_a_wrong_shape_is_refused(make: Make, keys: Tensor) -> None:
    index = make()
    with pytest.raises(ValueError, match=r"\(n, 16\)"):
        index.add(keys)
    with pytest.raises(ValueError, match=r"\(n, 16\)"):
        index.search(keys, 1)
    assert len(index) == 0


@pytest.mark.parametrize("row", [-1, 3])
def test_a_row_that_is_not_there_is_refused(make: Make, row: int) -> None:
    index = make()
    index.add(unit(3, seed=14))
    for call in (index.remove, index.key):
        with pytest.raises(IndexError, match="0 to 2"):
            call(row)
    assert_holds(index, unit(3, seed=14))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.integers(1, 5), st.floats(0, 1, exclude_max=True)), max_size=30))
@pytest.mark.parametrize("kind", ["faiss-flat", "faiss-ivf"])
def test_any_order_of_adds_and_removes_leaves_what_numpy_has(
    kind: IndexKind, steps: list[int | float]
) -> None:
    """An integer adds that many keys, a fraction removes the row so far along."""
    index = make_ivf() if kind == "faiss-ivf" else make_index(WIDTH, kind)
    reference = NumpyIndex(WIDTH)
    for seed, step in enumerate(steps):
        for each in (index, reference):
            if isinstance(step, int):
                each.add(unit(step, seed))
            elif len(each):
                each.remove(int(step * len(each)))
    if len(reference):
        assert_holds(index, reference.keys())
    else:
        assert len(index) == 0


def test_rows_grow_swap_and_close_up() -> None:
    rows = Rows(np.int64)
    rows.append(np.array([1, 2, 3]))
    rows.append(np.array([4, 5]))
    rows.remove(1)
    assert rows.view.tolist() == [1, 5, 3, 4]
    rows.close_up(1)
    assert rows.view.tolist() == [1, 3, 4]
    rows.close_up(2)
    assert rows.view.tolist() == [1, 3]
    with pytest.raises(IndexError):
        rows.close_up(2)


def test_of_equal_keys_the_reference_gives_the_lower_row_first() -> None:
    index = NumpyIndex(WIDTH)
    index.add(unit(1, seed=15).repeat(4, 1))
    hits = index.search(unit(1, seed=16), 4)
    assert hits.rows is not None
    assert hits.rows.tolist() == [[0, 1, 2, 3]]


def test_few_probes_still_find_as_many_keys_as_were_asked_for() -> None:
    """One list of ten holds about 40 of 400 keys; a search for 100 must not pad with nothing."""
    keys = unit(400, seed=17)
    index = FaissIvfIndex(WIDTH, train(keys), probes=1)
    index.add(keys)
    hits = index.search(keys[:3], 100)
    assert index.lists > 5
    assert hits.rows is not None
    assert hits.similarity.shape == (3, 100)
    assert int(hits.rows.min()) >= 0
    # Padding would be -3.4e38.
    assert float(hits.similarity.min()) >= -1.001


def test_few_probes_find_most_true_neighbours() -> None:
    centres = unit(20, seed=18)
    keys = functional.normalize(centres.repeat(50, 1) + 0.3 * unit(1000, seed=19), dim=1)
    index = FaissIvfIndex(WIDTH, train(keys), probes=4)
    index.add(keys)
    exact = NumpyIndex(WIDTH)
    exact.add(keys)
    found, true = (each.search(keys[:50], 10).rows for each in (index, exact))
    assert found is not None
    assert true is not None
    shared = [len(set(a) & set(b)) for a, b in zip(found.tolist(), true.tolist(), strict=True)]
    assert sum(shared) / 500 > 0.9


def test_memory_that_is_reserved_or_doubled_is_written_to_and_not_copied() -> None:
    index = GpuIndex(WIDTH, "cpu", reserve=8)
    memory = index._buffer.data_ptr()
    for seed in range(8):
        index.add(unit(1, seed))
    assert index._buffer.data_ptr() == memory
    index.add(unit(1, seed=8))
    assert (index._buffer.data_ptr() != memory, len(index._buffer)) == (True, 16)
    assert index._buffer.dtype == torch.float16


def test_halves_are_added_up_in_single_precision() -> None:
    """In half precision the sum of a thousand ones and of a thousandth is a thousand."""
    left = torch.ones(1, 1001).half()
    left[0, -1] = 2**-10
    found = summed_in_single(left, torch.ones(1001, 1).half())
    assert (found.dtype, float(found[0, 0])) == (torch.float32, 1000 + 2**-10)


@pytest.mark.gpu
@pytest.mark.skipif(bool(without_gpu), reason=without_gpu or "")
def test_a_gpu_multiplies_as_its_twin_does() -> None:
    keys, queries = unit(5000, seed=22), unit(64, seed=23)
    found, expected = (
        summed_in_single(keys.half().to(device), queries.half().T.to(device)).cpu()
        for device in ("cuda", "cpu")
    )
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)


def test_inverted_lists_say_that_they_give_no_similarities() -> None:
    with pytest.raises(IndexUnavailable, match=r"search\(\)"):
        make_index(WIDTH, "faiss-ivf").similarities(unit(1, seed=0))


def test_inverted_lists_without_training_look_at_all_keys() -> None:
    index = make_index(WIDTH, "faiss-ivf")
    index.add(unit(60, seed=20))
    assert_holds(index, unit(60, seed=20))


def test_training_is_repeatable() -> None:
    keys = unit(500, seed=21)
    torch.testing.assert_close(train(keys), train(keys), atol=0, rtol=0)


def test_auto_is_exact_and_on_the_cpu_for_a_cpu_encoder() -> None:
    index = make_index(WIDTH, "auto", "cpu")
    assert (index.kind, index.exact) == ("faiss-flat", True)


@pytest.mark.skipif(without_gpu is None, reason="this machine has a GPU")
def test_a_gpu_index_without_a_gpu_says_what_to_choose() -> None:
    with pytest.raises(IndexUnavailable, match="faiss-flat"):
        make_index(WIDTH, "faiss-gpu", "cuda")


def test_another_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="numpy, faiss-flat"):
        make_index(WIDTH, "annoy")  # type: ignore[arg-type]
