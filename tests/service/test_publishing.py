"""Looking at a cache's adapters, and choosing among them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapter.networks import AdapterFileError, Networks
from indexer.adapters import Adapters
from indexer.cache import Cache
from indexer.errors import CacheMissing
from service.lock import CacheLocked, training_lock
from service.publishing import list_adapters, use_adapter
from tests.service.adapters import ENCODER, RECORD, publish, spoil


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    Cache.open(tmp_path, ENCODER).close()
    return tmp_path


def test_a_cache_without_adapters(cache: Path) -> None:
    assert list_adapters(cache) == ([], None)
    assert not Adapters(cache).folder.exists()


def test_all_are_listed_with_the_one_that_is_to_serve(cache: Path) -> None:
    publish(cache)
    publish(cache, published=False, method="paper", accuracy=0.5)
    (first, second), error = list_adapters(cache)
    assert error is None
    assert (first.number, first.serves, first.method, first.accuracy) == (1, True, "full", 0.75)
    assert (first.created, first.published, first.error) == (
        Adapters(cache).record(1).created,
        True,
        None,
    )
    assert (second.number, second.serves, second.published) == (2, False, False)
    assert (second.method, second.accuracy) == ("paper", 0.5)


def test_what_is_damaged_is_listed_with_what_is_wrong(cache: Path) -> None:
    for _ in range(3):
        publish(cache)
    spoil(cache, 1)
    Adapters(cache).paths(2)[1].write_text("{}")
    (first, second, third), error = list_adapters(cache)
    assert first.error is not None
    assert "0001.safetensors is damaged" in first.error
    assert second.error is not None
    assert "0002.json is damaged" in second.error
    assert (second.created, second.accuracy) == (None, None)
    assert (third.error, third.serves, error) == (None, True, None)
    (Adapters(cache).folder / "current").write_text("3")
    found, error = list_adapters(cache)
    assert [each.serves for each in found] == [False, False, False]
    assert error is not None
    assert "current is damaged" in error


def test_the_one_that_is_used_serves(cache: Path) -> None:
    for _ in range(2):
        publish(cache)
    for number in (1, None, 2):
        use_adapter(cache, number)
        assert Adapters(cache).current == number
    (Adapters(cache).folder / "current").write_text("damaged")
    use_adapter(cache, 1)
    assert Adapters(cache).current == 1


def test_a_service_takes_it_up(cache: Path) -> None:
    publish(cache)
    publish(cache, seed=2)
    with Cache.open(cache, ENCODER) as served:
        use_adapter(cache, 1)
        newer = served.publications.newer(served.adapter)
    assert newer is not None
    assert newer.number == 1


def test_what_cannot_serve_is_refused(cache: Path) -> None:
    for _ in range(2):
        publish(cache)
    adapters = Adapters(cache)
    foreign = replace(RECORD, encoder="f" * 64, published=False)
    adapters.write(Networks.initial(ENCODER.width, 8), foreign)
    spoil(cache, 1)
    for number, said in (
        (1, r"0001\.safetensors is damaged"),
        (3, "another encoder"),
        (4, "cannot read adapter 4"),
    ):
        with pytest.raises(AdapterFileError, match=said):
            use_adapter(cache, number)
        assert adapters.current == 2


def test_not_while_one_is_trained(cache: Path) -> None:
    publish(cache)
    with training_lock(Adapters(cache).folder), pytest.raises(CacheLocked):
        use_adapter(cache, None)
    assert Adapters(cache).current == 1


def test_no_cache(tmp_path: Path) -> None:
    with pytest.raises(CacheMissing):
        list_adapters(tmp_path)
    with pytest.raises(CacheMissing):
        use_adapter(tmp_path, None)
    assert list(tmp_path.iterdir()) == []
