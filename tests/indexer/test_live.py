from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adapter.encoder import PixelEncoder
from adapter.gaussian import Distances
from adapter.learned import Learned, TextKey
from adapter.networks import Networks
from indexer import live
from indexer.adapters import Adapter
from indexer.cache import Cache
from indexer.memory import Memory
from indexer.records import Cap
from tests.indexer.helpers import WIDTH, directions, new_shot, new_shots

ENCODER = PixelEncoder()


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache.open(tmp_path / "cache", ENCODER) as cache:
        yield cache


def test_numbers_of_a_covariance_are_fitted_again_where_a_start_finds_none(tmp_path: Path) -> None:
    """The shots that it was made of were forgotten before the next fit."""
    with Cache.open(tmp_path, ENCODER) as cache:
        ids = [
            cache.add(label, new_shots(range(10 * at, 10 * at + 5), near=at)).shot_ids
            for at, label in enumerate(["ant", "bee", "cow"])
        ]
        cache.refit()
        fit = cache.info().fit
        assert fit is not None
        assert fit.gaussian_weight > 0
        assert fit.gaussian_ridges
        for shot_id in (shot_id for group in ids for shot_id in group[1:]):
            cache.forget(shot_id)
    with Cache.open(tmp_path, ENCODER) as cache:
        assert cache.classify(directions(2, seed=0)).logits.isfinite().all()
        assert cache.fitted_version == cache.version


@pytest.mark.parametrize("change", ["add", "relabel", "forget", "put_class", "delete_class"])
def test_a_change_that_memory_could_not_follow_counts_all_the_same(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The accelerator's memory is full, say, when the change is on disk already."""
    ids = cache.add("ant", new_shots([1, 2, 3])).shot_ids
    calls: dict[str, Callable[[], object]] = {
        "add": lambda: cache.add("ant", new_shots([4])),
        "relabel": lambda: cache.relabel(ids[0], "ant 2"),
        "forget": lambda: cache.forget(ids[0]),
        "put_class": lambda: cache.put_class("bee"),
        "delete_class": lambda: cache.delete_class("ant"),
    }

    def fail(*arguments: object) -> None:
        raise MemoryError("full")

    cache.catch_up()
    with monkeypatch.context() as broken:
        for name in ("add", "forget", "put_class", "delete_class"):
            broken.setattr(Memory, name, fail)
        calls[change]()
        with pytest.raises(MemoryError):
            cache.support()
    assert cache.version == 2
    # The next change comes right after, before any answer.
    cache.add("cow", new_shots([9]))
    support = cache.support().support
    info = cache.info()
    assert (len(support.labels), len(support.keys)) == (info.classes, info.shots)
    counts = [cache.class_info(label).shots for label in support.labels]
    assert support.counts.tolist() == counts
    scores = cache.classify(directions(2, seed=0))
    assert scores.labels == support.labels
    assert scores.image.similarity.shape == (2, info.shots)


def test_many_changes_cost_one_update_of_the_head(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates: list[int] = []
    state = Memory.state

    def counted(memory: Memory, precision: torch.Tensor | None) -> object:
        updates.append(len(memory))
        return state(memory, precision)

    monkeypatch.setattr(Memory, "state", counted)
    for seed in range(5):
        cache.add("ant", new_shots([seed]))
    cache.classify(directions(1, seed=0))
    cache.classify(directions(1, seed=1))
    assert updates == [5]


def test_an_inexact_index_weighs_the_nearest_shots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "NEIGHBOURS", 4)
    with Cache.open(tmp_path, ENCODER, index="faiss-ivf") as cache:
        cache.add("ant", new_shots(range(30)))
        cache.add("bee", new_shots(range(100, 130)))
        scores = cache.classify(directions(3, seed=5))
        rows = scores.image.rows
        assert rows is not None
        assert rows.shape == (3, 4)
        best = scores.explain(0, 1)[0]
        keys = cache.support().support.keys
        nearest = (keys @ directions(3, seed=5)[0]).topk(4).indices.tolist()
        assert best.row in nearest
        assert cache.info().text_index == "faiss-flat"


FORMER_FIT = """{"method": "full", "image_sharpness": 5.5, "text_sharpness": 5.5,
"zero_shot_weight": 1.0, "image_weight": 0.5, "text_weight": 0.5, "gaussian_weight": 1.0,
"gaussian_ridge": 0.3, "gaussian_origin": 0.0, "offsets": {}, "shots": 9, "accuracy": 1.0}"""


@pytest.mark.parametrize("text", [FORMER_FIT, '{"unknown number": 1}', "[1]", "{"])
def test_a_fit_of_another_program_is_made_again(tmp_path: Path, text: str) -> None:
    with Cache.open(tmp_path, ENCODER) as cache:
        cache.add("ant", new_shots([1, 2]))
        cache.refit()
        cache._store.set_fit("full", text, 1)
    with Cache.open(tmp_path, ENCODER) as cache:
        assert cache.fitted_version == cache.version == 1
        fit = cache.info().fit
        assert fit is not None
        assert fit.shots == 2
        assert cache.classify(torch.zeros(1, WIDTH)).logits.shape == (1, 1)


def trained(seed: int) -> Adapter:
    return Adapter(Networks.initial(WIDTH, 8, seed=seed), sha256=f"{seed}" * 64)


def test_a_change_of_adapter_loses_nothing_that_came_while_it_was_prepared(
    cache: Cache, tmp_path: Path
) -> None:
    """Each kind of change, on both sides of the reading, as if the cache were opened afresh."""
    ids = cache.add("ant", [new_shot(1), new_shot(2, caption="a big ant"), new_shot(3)]).shot_ids
    cache.add("bee", new_shots([10, 11]))
    cache.add("cow", new_shots([20, 21]))
    adapter = trained(3)
    prepared = cache.prepare(adapter)
    cache.add("ant", [new_shot(4, caption="a big ant"), new_shot(5, caption="a tiny one")])
    cache.add("dog", new_shots([30, 31]))
    cache.relabel(ids[0], "elk")
    cache.forget(ids[2])
    cache.put_class("bee", ["a striped {}"])
    cache.delete_class("cow")
    queries = directions(4, seed=7)
    before = cache.classify(queries)
    assert before.head.fit == cache.info().fit
    cache.swap(prepared)
    assert cache.adapter is adapter
    assert cache.fitted_version == prepared.fitted.version < cache.version
    after = cache.classify(queries)
    assert not torch.allclose(after.text.similarity.sum(1), before.text.similarity.sum(1))
    cache.refit()
    found, support = cache.classify(queries), cache.support().support
    assert cache.fitted_version == cache.version
    cache.close()
    adapter.networks.save(tmp_path / "same.safetensors")
    with Cache.open(tmp_path / "cache", ENCODER, networks=tmp_path / "same.safetensors") as fresh:
        expected = fresh.classify(queries)
        assert found.labels == expected.labels == ("ant", "bee", "dog", "elk")
        # The fits add the same shots in another order.
        torch.testing.assert_close(found.logits, expected.logits, atol=1e-3, rtol=1e-3)
        assert len(support.keys) == len(fresh.support().support.keys) == fresh.info().shots


def test_numbers_fitted_for_another_adapter_are_not_installed(cache: Cache) -> None:
    cache.add("ant", new_shots([1, 2, 3]))
    cache.add("bee", new_shots([10, 11]))
    fitted = cache.support().fit()
    cache.swap(cache.prepare(trained(3)))
    serving = cache.info().fit
    cache.install(fitted)
    assert cache.info().fit is serving
    assert cache._store.fit("full " + "3" * 64) is not None


def test_an_adapter_that_cannot_be_prepared_or_swapped_changes_nothing(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.add("ant", new_shots([1, 2, 3]))
    cache.add("bee", new_shots([10, 11]))
    queries, serving = directions(3, seed=7), cache.adapter
    before = cache.classify(queries).logits

    def fail(*arguments: object) -> None:
        raise MemoryError("full")

    with monkeypatch.context() as broken:
        broken.setattr(live, "make_memory", fail)
        with pytest.raises(MemoryError):
            cache.prepare(trained(3))
    prepared = cache.prepare(trained(3))
    ids = cache.add("ant", new_shots([4])).shot_ids
    with monkeypatch.context() as broken:
        broken.setattr(Memory, "add", fail)
        with pytest.raises(MemoryError):
            cache.swap(prepared)
    assert cache.adapter is serving
    cache.forget(ids[0])
    torch.testing.assert_close(cache.classify(queries).logits, before)
    cache.swap(cache.prepare(trained(3)))
    assert cache.adapter is not serving


@pytest.mark.parametrize("text_key", ["caption", "conditioned"])
def test_plain_keys_come_and_go_although_the_adapter_moves_them(
    tmp_path: Path, text_key: TextKey
) -> None:
    """They are held by the store alone: sums of them, and fits, must be right all the same."""
    learned = Learned(
        class_residuals={"ant": 0.3 * directions(1, 9)[0]},
        low_rank=(directions(WIDTH, 7, 2), 0.2 * directions(2, 8)),
        text_key=text_key,
    )
    file = tmp_path / "moving.safetensors"
    replace(Networks.initial(WIDTH, 8), learned=learned).save(file)
    cap = Cap(3, "merge")
    with Cache.open(tmp_path / "cache", ENCODER, networks=file, cap=cap) as cache:
        ids = cache.add("ant", new_shots(range(5))).shot_ids
        cache.add("bee", new_shots(range(10, 13)))
        cache.refit()
        cache.add("bee", [new_shot(20, caption="a bee")])
        cache.forget(ids[0])
        cache.put_class("ant", ["an {}"])
        cache.relabel(ids[1], "bee")
        queries = directions(4, seed=5)
        found, support = cache.classify(queries), cache.support().support
        assert support.counts.tolist() == found.head.counts.tolist()
        assert found.head.distances is not None
        expected = Distances.to(support.means, found.head.distances.precision)
        torch.testing.assert_close(found.head.distances.weights, expected.weights)
        cache.refit()
        found = cache.classify(queries)
    with Cache.open(tmp_path / "cache", ENCODER, networks=file, cap=cap) as fresh:
        logits = fresh.classify(queries).logits
        # The fits add the same shots in another order.
        torch.testing.assert_close(logits, found.logits, atol=1e-3, rtol=1e-3)
        again = fresh.support().support
        torch.testing.assert_close(again.keys.sum(0), support.keys.sum(0))


def test_changes_of_most_shots_are_read_anew(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FEW", 2)
    cache.add("ant", new_shots(range(4)))
    cache.catch_up()
    memory = cache._live.memory
    cache.add("ant", new_shots([4]))
    cache.catch_up()
    assert cache._live.memory is memory
    cache.rollback(0)
    cache.catch_up()
    assert cache._live.memory is not memory
    assert len(cache._live.memory) == 0
