"""What a disk and a clock do to a cache: full, read-only, set back and forth."""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from adapter.encoder import PixelEncoder
from indexer.cache import Cache
from indexer.errors import CacheError, CacheFull, CacheUnwritable
from indexer.reader import FILE
from indexer.records import Reply, Request
from indexer.store import Store
from tests.indexer.helpers import ORIGIN, best, near, new_shots, teach_three, unit
from tests.indexer.helpers import stored_shot as shot

ENCODER = PixelEncoder()
DAY = 86_400.0
NOBODY = 65_534


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    Store.create(tmp_path, ORIGIN)
    store = Store(tmp_path)
    store.add("cat", [shot(1)], feature=unit(0))
    yield store
    store.close()


@contextlib.contextmanager
def no_more_pages(store: Store, few: int = 2) -> Iterator[None]:
    """SQLite's own limit: SQLITE_FULL, as on a full disk."""
    writer = store._database._writer
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages + few}")
    yield
    writer.execute("PRAGMA max_page_count = 1000000")


@contextlib.contextmanager
def no_longer_files(store: Store) -> Iterator[None]:
    """The system refuses to write: within a change, or at its end."""
    log = store.folder / f"{FILE}-wal"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 5_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def read_only(store: Store) -> Iterator[None]:
    """SQLITE_READONLY, as where the disk was mounted anew because of errors."""
    store._database._writer.execute("PRAGMA query_only = ON")
    yield
    store._database._writer.execute("PRAGMA query_only = OFF")


Fault = Callable[[Store], contextlib.AbstractContextManager[None]]
FAULTS = pytest.mark.parametrize(
    ("fault", "error"),
    [
        (no_more_pages, CacheFull),
        (no_longer_files, CacheUnwritable),
        (read_only, CacheUnwritable),
    ],
)


@FAULTS
def test_a_disk_that_refuses_acknowledges_nothing_and_recovers(
    store: Store, tmp_path: Path, fault: Fault, error: type[CacheError]
) -> None:
    with fault(store):
        with pytest.raises(error, match=str(tmp_path)):
            store.add("dog", [shot(seed) for seed in range(2, 120)], feature=unit(1))
        assert (store.version, store.counts(), len(store.rows().shots.ids)) == (1, (1, 1), 1)
    store.add("dog", [shot(2)], feature=unit(1))
    assert (store.version, store.counts()) == (2, (2, 2))
    with contextlib.closing(Store(tmp_path)) as again:
        again.check()
        assert len(again.rows().shots.ids) == 2


@FAULTS
def test_a_group_that_meets_it_in_its_middle_is_there_wholly_or_not(
    store: Store, tmp_path: Path, fault: Fault, error: type[CacheError]
) -> None:
    request = Request("key", "same")

    def change() -> None:
        with store.group():
            store.remember(request, Reply(201, b"{}"))
            store.put_class("dog", None, unit(1))
            store.add("dog", [shot(seed) for seed in range(2, 120)])

    with fault(store), pytest.raises(error, match=str(tmp_path)):
        change()
    assert (store.version, store.counts(), store.answer(request)) == (1, (1, 1), None)
    change()
    with contextlib.closing(Store(tmp_path)) as again:
        again.check()
        assert (again.version, again.counts()) == (3, (2, 119))
        assert again.answer(request) == Reply(201, b"{}")
        assert len(again.rows().shots.ids) == 119


def test_a_full_disk_within_a_group_is_told_to_all_of_it(store: Store, tmp_path: Path) -> None:
    # SQLite then undoes the whole transaction, what was found room for before included.
    def change() -> None:
        with store.group():
            store.add("cat", [shot(2)])
            with pytest.raises(CacheFull):
                store.add("cat", [shot(seed) for seed in range(3, 900)])
            with pytest.raises(CacheFull):
                store.add("cat", [shot(3)])

    with no_more_pages(store, 12), pytest.raises(CacheFull):
        change()
    assert (store.version, store.counts()) == (1, (1, 1))
    store.add("cat", [shot(3)])
    with contextlib.closing(Store(tmp_path)) as again:
        again.check()
        assert (again.version, again.counts(), len(again.rows().shots.ids)) == (2, (1, 2), 2)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A cache, as seen by somebody who may only read it."""
    # Not in pytest's folder, which other users may not enter.
    with tempfile.TemporaryDirectory() as folder:
        with Cache.open(Path(folder), ENCODER) as cache:
            teach_three(cache)
            cache.refit()
        for path in Path(folder).iterdir():
            path.chmod(0o444)
        Path(folder).chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(NOBODY)
        yield Path(folder)
        if root:
            os.seteuid(0)
        Path(folder).chmod(0o755)


def test_a_cache_that_may_only_be_read_answers_and_takes_nothing(unprivileged: Path) -> None:
    with Cache.open(unprivileged, ENCODER) as cache:
        assert best(cache, near(1)) == ["bee"]
        assert len(cache.shots(limit=100).items) == 18
        with pytest.raises(CacheUnwritable, match="cannot be read or written"):
            cache.add("ant", new_shots([7000]))
        assert best(cache, near(1)) == ["bee"]
        assert cache.version == 3


def test_no_cache_is_made_in_a_folder_that_may_only_be_read(unprivileged: Path) -> None:
    with pytest.raises(CacheUnwritable, match="another"):
        Cache.open(unprivileged / "another", ENCODER)


def test_a_clock_that_jumps_disturbs_no_order_no_cursor_and_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    Store.create(tmp_path, ORIGIN)
    with contextlib.closing(Store(tmp_path)) as store:
        ids, cursors = [], []
        for step, days in enumerate([0, 40, -40, 3, -9000, 0]):
            monkeypatch.setattr(time, "time", partial(float, now + DAY * days))
            added = store.add("cat", [shot(step)], feature=unit(0))
            store.remember(Request(f"key {step}", "same"), Reply(201, b"%d" % step))
            ids.append(added.placed[0].shot_id)
            cursors.append(store.shots(None, step + 1, None).next_cursor)
            assert added.version == step + 1
            answers = [store.answer(Request(f"key {each}", "same")) for each in range(step + 1)]
            assert answers == [Reply(201, b"%d" % each) for each in range(step + 1)]
        assert cursors == [None] * 6
        first = store.shots(None, 4, None)
        second = store.shots(None, 4, first.next_cursor)
        assert [each.shot_id for each in (*first.items, *second.items)] == ids
        assert [each.version for each in store.versions().items] == [6, 5, 4, 3, 2, 1, 0]
        assert [each.what for each in store.differences(2, 4)] == ["shot_added", "shot_added"]
        store.rollback(3)
        assert store.counts() == (1, 3)
    with contextlib.closing(Store(tmp_path)) as again:
        again.check()
        assert again.rows().shots.ids == ids[:3]
