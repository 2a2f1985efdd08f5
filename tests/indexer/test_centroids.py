from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapter.encoder import PixelEncoder
from indexer import centroids, faiss_index
from indexer.centroids import FILE, image_centroids
from indexer.errors import CacheUnwritable
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


@pytest.fixture(autouse=True)
def _heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that was started in this process has taken the log for itself."""
    monkeypatch.setattr(logging.getLogger("xmadapter"), "propagate", True)


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


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("missing", "cannot be read: No such file"),
        ("truncated", "expected the checksum"),
        ("flipped", "expected the checksum"),
        ("replaced", "of 12 bytes"),
    ],
)
def test_a_file_that_is_not_the_one_written_is_made_again_and_said(
    store: Store,
    tmp_path: Path,
    trainings: list[int],
    caplog: pytest.LogCaptureFixture,
    damage: str,
    reason: str,
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
    assert caplog.records == []
    torch.testing.assert_close(image_centroids(store, keys), first, atol=0, rtol=0)
    assert trainings == [200, 200]
    (line,) = caplog.records
    facts = vars(line)["fields"]
    assert (line.name, line.getMessage()) == ("xmadapter.indexer", "index snapshot made again")
    assert facts["file"] == str(path)
    assert reason in facts["reason"]
    assert image_centroids(store, keys) is not None
    assert trainings == [200, 200]
    assert len(caplog.records) == 1


@settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255), cut=st.booleans())
def test_any_damage_leaves_the_same_centroids(
    store: Store, share: float, mask: int, cut: bool
) -> None:
    keys = directions(200, seed=0)
    first = image_centroids(store, keys)
    path = store.folder / FILE
    whole = path.read_bytes()
    at = int(share * len(whole))
    path.write_bytes(whole[:at] + (b"" if cut else bytes([whole[at] ^ mask]) + whole[at + 1 :]))
    assert torch.equal(image_centroids(store, keys), first)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("refuses", ["file", "store"])
def test_a_disk_that_cannot_be_written_keeps_nobody_from_having_them(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    refuses: str,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space") if refuses == "file" else CacheUnwritable("No space")

    if refuses == "file":
        monkeypatch.setattr(centroids, "write_whole", full)
    else:
        monkeypatch.setattr(Store, "set_derived_file", full)
    assert len(image_centroids(store, directions(200, seed=0))) == 5
    (line,) = caplog.records
    assert line.getMessage() == "index snapshot not kept"
    assert "No space" in vars(line)["fields"]["reason"]


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
