from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from adapter.encoder import PixelEncoder
from indexer import centroids, faiss_index
from indexer.centroids import FILE, image_centroids
from indexer.opening import origin_of
from indexer.records import DerivedFile
from indexer.store import Store
from tests.indexer.helpers import directions


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    Store.create(tmp_path, origin_of(PixelEncoder(), ["a {}"]))
    store = Store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many keys each training saw."""
    seen: list[int] = []
    train = faiss_index.train

    def counted(keys: Tensor) -> Tensor:
        seen.append(len(keys))
        return train(keys)

    monkeypatch.setattr(centroids, "train", counted)
    return seen


def test_centroids_are_trained_once_and_then_read(store: Store, trainings: list[int]) -> None:
    keys = directions(200, seed=0)
    first = image_centroids(store, keys)
    assert len(first) == 5
    torch.testing.assert_close(image_centroids(store, keys), first, atol=0, rtol=0)
    assert trainings == [200]
    record = store.derived_file(FILE)
    assert record is not None
    assert (record.version, record.shots) == (0, 200)


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "replaced"])
def test_a_file_that_is_not_the_one_written_is_made_again(
    store: Store, tmp_path: Path, trainings: list[int], damage: str
) -> None:
    keys = directions(200, seed=0)
    first = image_centroids(store, keys)
    path = tmp_path / FILE
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(data[:-10])
    elif damage == "flipped":
        data[-1] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes(b"not a matrix")
    torch.testing.assert_close(image_centroids(store, keys), first, atol=0, rtol=0)
    assert trainings == [200, 200]
    assert image_centroids(store, keys) is not None
    assert trainings == [200, 200]


@pytest.mark.parametrize(
    ("shots", "trained"), [(200, False), (799, False), (801, True), (51, False), (49, True)]
)
def test_lists_for_another_size_of_cache_are_stale(
    store: Store, trainings: list[int], shots: int, trained: bool
) -> None:
    image_centroids(store, directions(200, seed=0))
    image_centroids(store, directions(shots, seed=1))
    assert trainings == ([200, shots] if trained else [200])


def test_a_checksum_alone_is_no_file(store: Store, trainings: list[int]) -> None:
    store.set_derived_file(FILE, DerivedFile(0, 200, "0" * 64))
    assert len(image_centroids(store, directions(200, seed=0))) == 5
    assert trainings == [200]
