from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapter.encoder import PixelEncoder
from benchmarks.server import Server
from benchmarks.torture import start
from indexer.cache import Cache
from service.client import Client


class Settled(Server):
    """One that is no process, and has nothing to wait for."""

    def settle(self) -> None:
        return


def test_the_cache_that_it_starts_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "CLASSES", 3)
    monkeypatch.setattr(start, "GROUP", 4)
    start.fill(tmp_path, PixelEncoder(), 14)
    with Cache.open(tmp_path, PixelEncoder(), create=False) as cache:
        info = cache.info()
        assert (info.classes, info.shots) == (3, 14)
        shots = cache.shots().items
        thumbnail = cache.thumbnail(shots[0].shot_id)
        assert thumbnail is not None
        assert len(thumbnail) == start.THUMBNAIL_BYTES


@pytest.mark.parametrize(("seconds", "reached"), [(4.0, True), (6.0, False)])
def test_the_median_is_held_to_the_goal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, reached: bool
) -> None:
    @contextmanager
    def started(cache: Path) -> Iterator[Server]:
        with Client() as client:
            yield Settled(client, 0, seconds if cache.name == "full" else 1.0)

    monkeypatch.setattr(start, "serving", started)
    monkeypatch.setattr(start, "encoder_of", lambda settings: PixelEncoder())
    monkeypatch.setattr(start, "CLASSES", 3)
    (row,) = start.run(0.0002, tmp_path)
    assert row.name == "start with 20 shots"
    assert row.figure.startswith(f"{seconds:.2f} s, of which 1.00 s")
    assert row.reached == reached
