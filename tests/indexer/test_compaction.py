"""Erasing history for good."""

from __future__ import annotations

import contextlib
from contextlib import closing
from pathlib import Path

import pytest

from adapter.encoder import PixelEncoder
from indexer.cache import Cache
from indexer.compaction import Compaction, compact, planned
from indexer.errors import UnknownVersion
from indexer.reader import FILE
from indexer.store import Store
from indexer.verification import verify
from tests.indexer.filled import full_shot
from tests.indexer.helpers import near, new_shots, teach_three


@pytest.mark.parametrize(
    ("keep", "plan"),
    [
        (0, Compaction(5, 5, 1)),
        (1, Compaction(4, 4, 0)),
        (4, Compaction(1, 1, 0)),
        (5, Compaction(0, 0, 0)),
        (99, Compaction(0, 0, 0)),
    ],
)
def test_what_would_go_is_told_and_goes(filled: Path, keep: int, plan: Compaction) -> None:
    with closing(Store(filled)) as store:
        before = store.rows()
        count = len(store.versions(99).items)
        assert planned(store, keep) == plan
        compact(store, plan)
        assert len(store.versions(99).items) == count - plan.versions
        assert store.rows().shots.ids == before.shots.ids
        store.rollback(plan.oldest)
        if plan.oldest:
            with pytest.raises(UnknownVersion):
                store.rollback(plan.oldest - 1)
        assert planned(store, store.version - plan.oldest) == Compaction(plan.oldest, 0, 0)
    assert not [line for each in verify(filled, deep=True) for line in each.wrong]


def test_what_came_after_the_plan_stays(filled: Path) -> None:
    with closing(Store(filled)) as store:
        plan = planned(store, 0)
        store.add("ant", [full_shot(50)])
        compact(store, plan)
        assert [each.version for each in store.versions(9).items] == [6, 5]
        store.rollback(5)


def test_what_was_forgotten_is_overwritten(filled: Path) -> None:
    gone = full_shot(0)
    for trace in (b"RIFF0", gone.sha256.encode(), gone.key.tobytes()):
        assert trace in (filled / FILE).read_bytes()
    with closing(Store(filled)) as store:
        compact(store, planned(store, 0))
    content = b"".join(path.read_bytes() for path in filled.glob(f"{FILE}*"))
    for trace in (b"RIFF0", gone.sha256.encode(), gone.key.tobytes()):
        assert trace not in content


def test_who_has_it_open_goes_on_and_reads_all_anew(tmp_path: Path) -> None:
    encoder = PixelEncoder()
    with contextlib.ExitStack() as stack:
        cache = stack.enter_context(Cache.open(tmp_path, encoder))
        teach_three(cache)
        behind = stack.enter_context(Cache.open(tmp_path, encoder))
        other = stack.enter_context(closing(Store(tmp_path)))
        cache.delete_class("ant")
        cache.add("dog", new_shots(range(400, 406), near=7))
        compact(other, planned(other, 0))
        assert other.delta(behind.fitted_version or 0) is None
        for each in (cache, behind):
            assert len(each.classify(near(7)).explain(0, 99)) == 18
            assert each.support().support.labels == ("bee", "cow", "dog")
        behind.add("eel", new_shots([900], near=8))
        assert "eel" in cache.classify(near(8)).labels
