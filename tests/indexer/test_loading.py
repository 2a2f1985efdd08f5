from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adapter.learned import Learned
from adapter.networks import Networks
from indexer.centroids import FILE
from indexer.index import IndexKind
from indexer.loading import make_memory, read_rows
from indexer.store import Store
from tests.indexer.helpers import ORIGIN, STORE_WIDTH, stored_shot, unit

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("kind", "kinds"),
    [
        ("numpy", ("numpy", "numpy")),
        ("auto", ("faiss-flat", "faiss-flat")),
        ("faiss-ivf", ("faiss-ivf", "faiss-flat")),
    ],
)
def test_keys_are_those_of_the_networks_in_indices_of_the_kind(
    tmp_path: Path, kind: IndexKind, kinds: tuple[str, str]
) -> None:
    Store.create(tmp_path, ORIGIN)
    networks = Networks.initial(STORE_WIDTH, 3, seed=4)
    with contextlib.closing(Store(tmp_path)) as store:
        store.add("ant", [stored_shot(1), stored_shot(2)], feature=unit(8))
        store.add("bee", [stored_shot(3)], feature=unit(9))
        rows = read_rows(store)
        memory = make_memory(rows, networks, CPU, kind, store)
        assert (memory.image.kind, memory.texts.index.kind) == kinds
        assert rows.version == store.version == 2
    torch.testing.assert_close(memory.image.keys(), torch.tensor(rows.shots.keys))
    expected = networks.meta_net(memory.texts.features()(memory.keys()))
    torch.testing.assert_close(memory.texts.index.keys(), expected)
    assert memory.texts.index.keys().shape == (2, 3)
    assert (tmp_path / FILE).exists() is (kind == "faiss-ivf")


def test_an_empty_store_makes_an_empty_memory(tmp_path: Path) -> None:
    Store.create(tmp_path, ORIGIN)
    with contextlib.closing(Store(tmp_path)) as store:
        networks = Networks.initial(STORE_WIDTH)
        memory = make_memory(read_rows(store), networks, CPU, "faiss-ivf", store)
    assert (len(memory), memory.class_count) == (0, 0)


@pytest.mark.parametrize("kind", ["numpy", "auto", "faiss-ivf"])
def test_what_was_learned_reaches_both_indices(tmp_path: Path, kind: IndexKind) -> None:
    Store.create(tmp_path, ORIGIN)
    learned = Learned(class_residuals={"ant": torch.tensor(unit(7))}, text_key="conditioned")
    networks = replace(Networks.initial(STORE_WIDTH, 3), learned=learned)
    with contextlib.closing(Store(tmp_path)) as store:
        store.add("ant", [stored_shot(1), stored_shot(2)], feature=unit(8))
        store.add("bee", [stored_shot(3)], feature=unit(9))
        rows = read_rows(store)
        memory = make_memory(rows, networks, CPU, kind, store)
    plain = torch.tensor(rows.shots.keys)
    assert torch.equal(memory.keys(), plain)
    moved = learned.image_keys(plain, ["ant", "ant", "bee"])
    assert not torch.equal(moved, plain)
    torch.testing.assert_close(memory.image.keys(), moved)
    assert len(memory.texts.index) == 3
