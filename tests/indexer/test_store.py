from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import (
    IdempotencyConflict,
    LabelConflict,
)
from indexer.records import DerivedFile, Request, StoredShot
from indexer.store import Store
from tests.indexer.helpers import ORIGIN, unit
from tests.indexer.helpers import stored_shot as shot


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    Store.create(tmp_path, ORIGIN)
    store = Store(tmp_path)
    yield store
    store.close()


def test_a_new_store_is_empty_and_remembers_what_it_was_made_with(store: Store) -> None:
    assert store.version == 0
    assert store.counts() == (0, 0)
    assert store.origin == ORIGIN


def test_shots_come_back_as_they_were_written(store: Store, tmp_path: Path) -> None:
    views = np.stack([unit(5), unit(6)]).astype(np.float16)
    given = StoredShot("ab", unit(1), "a red one", views, b"webp")
    added = store.add("cat", [given], feature=unit(0), texts={"a red one": unit(2)})
    store.close()

    reopened = Store(tmp_path)
    shot_id = added.placed[0].shot_id
    rows = reopened.shot_rows()
    assert rows.ids == [shot_id]
    np.testing.assert_array_equal(rows.keys, given.key[None])
    np.testing.assert_array_equal(reopened.class_rows()[0].feature, unit(0))
    np.testing.assert_array_equal(reopened.text_features()[int(rows.text_ids[0])], unit(2))
    np.testing.assert_array_equal(reopened.views(shot_id), views.astype(np.float32))
    assert reopened.thumbnail(shot_id) == b"webp"
    info = reopened.shot(shot_id)
    assert (info.label, info.caption, info.sha256) == ("cat", "a red one", "ab")
    assert info.created.tzinfo is not None
    reopened.close()


def test_each_change_raises_the_version_by_one_and_repeats_do_not(store: Store) -> None:
    first = store.add("cat", [shot(1), shot(2)], feature=unit(0))
    again = store.add("cat", [shot(1), shot(2)])
    assert (first.version, again.version) == (1, 1)
    shot_id = first.placed[0].shot_id
    assert store.relabel(shot_id, "dog", feature=unit(1))[1] == 2
    assert store.relabel(shot_id, "dog")[1] == 2
    assert store.put_class("dog", ["a dog"], unit(3))[2] == 3
    assert store.put_class("dog", ["a dog"], unit(3))[2] == 3
    assert store.forget(shot_id) == 4
    assert store.delete_class("cat") == (1, 5)
    assert store.version == 5


def test_a_class_made_without_shots_is_a_change(store: Store) -> None:
    assert store.add("cat", [], feature=unit(0)).version == 1
    assert store.add("cat", []).version == 1


def test_the_same_bytes_twice_in_one_call_make_one_shot(store: Store) -> None:
    added = store.add("cat", [shot(1), shot(1)], feature=unit(0))
    assert [each.created for each in added.placed] == [True, False]
    assert added.placed[0].shot_id == added.placed[1].shot_id
    assert added.shots_in_class == 1


def test_a_conflict_leaves_nothing_of_its_call_behind(store: Store) -> None:
    present = store.add("cat", [shot(1)], feature=unit(0)).placed[0].shot_id
    with pytest.raises(LabelConflict) as caught:
        store.add("dog", [shot(2, "new"), shot(1)], feature=unit(1), texts={"new": unit(4)})
    assert (caught.value.shot_id, caught.value.label) == (present, "cat")
    assert store.counts() == (1, 1)
    assert store.text_features() == {}
    assert store.version == 1


def test_relabelling_moves_the_same_shot(store: Store) -> None:
    present = store.add("cat", [shot(1)], feature=unit(0)).placed[0].shot_id
    moved = store.add("dog", [shot(1)], feature=unit(1), relabel=True).placed[0]
    assert (moved.shot_id, moved.created, moved.moved) == (present, False, True)
    assert store.shot(present).label == "dog"
    assert store.class_info("cat").shots == 0


def test_captions_are_kept_once_and_go_with_their_last_shot(store: Store) -> None:
    texts = {"striped": unit(9)}
    added = store.add("cat", [shot(1, "striped"), shot(2, "striped")], feature=unit(0), texts=texts)
    assert store.unknown_texts(["striped", "spotted", "spotted"]) == ["spotted"]
    assert len(store.text_features()) == 1
    store.forget(added.placed[0].shot_id)
    assert len(store.text_features()) == 1
    store.forget(added.placed[1].shot_id)
    assert store.text_features() == {}


def test_an_idempotency_key_gives_its_answer_again_and_refuses_another_request(
    store: Store,
) -> None:
    request = Request("key", "fingerprint")
    assert store.answer(request) is None
    store.add("cat", [shot(1)], feature=unit(0), request=request)
    assert '"shots_in_class": 1' in (store.answer(request) or "")
    with pytest.raises(IdempotencyConflict, match="'key'"):
        store.answer(Request("key", "another"))


def test_derived_values_are_kept_and_are_no_change(store: Store) -> None:
    store.set_fit("full", '{"a": 1}', 3)
    store.set_derived_file("image", DerivedFile(3, 100, "ab"))
    store.set_meta("method", "paper")
    assert store.fit("full") == ('{"a": 1}', 3)
    assert store.fit("paper") is None
    assert store.derived_file("image") == DerivedFile(3, 100, "ab")
    assert store.derived_file("text") is None
    assert store.meta("method") == "paper"
    assert store.version == 0
