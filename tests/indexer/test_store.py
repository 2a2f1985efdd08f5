from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from indexer.errors import (
    CacheDamaged,
    ClassFull,
    IdempotencyConflict,
    LabelConflict,
    UnknownVersion,
)
from indexer.reader import FILE
from indexer.records import Cap, DerivedFile, Reply, Request, StoredShot
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
    rows = reopened.rows()
    assert rows.shots.ids == [shot_id]
    np.testing.assert_array_equal(rows.shots.keys, given.key[None])
    np.testing.assert_array_equal(rows.classes[0].feature, unit(0))
    np.testing.assert_array_equal(rows.captions[int(rows.shots.text_ids[0])], unit(2))
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
    assert store.relabel(shot_id, "dog", feature=unit(1)) == 2
    assert store.relabel(shot_id, "dog") == 2
    assert store.put_class("dog", ["a dog"], unit(3))[1] == 3
    assert store.put_class("dog", ["a dog"], unit(3))[1] == 3
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
    assert store.unknown_texts(["new"]) == ["new"]
    assert store.version == 1


def test_relabelling_moves_the_same_shot(store: Store) -> None:
    present = store.add("cat", [shot(1)], feature=unit(0)).placed[0].shot_id
    moved = store.add("dog", [shot(1)], feature=unit(1), relabel=True).placed[0]
    assert (moved.shot_id, moved.created) == (present, False)
    assert store.version == 2
    assert store.shot(present).label == "dog"
    assert store.class_info("cat").shots == 0


def test_captions_are_kept_once(store: Store) -> None:
    texts = {"striped": unit(9)}
    store.add("cat", [shot(1, "striped"), shot(2, "striped")], feature=unit(0), texts=texts)
    assert store.unknown_texts(["striped", "spotted", "spotted"]) == ["spotted"]
    assert len(store.rows().captions) == 1


def test_an_idempotency_key_gives_its_answer_again_and_refuses_another_request(
    store: Store,
) -> None:
    request, reply = Request("key", "fingerprint"), Reply(201, b"{}")
    assert store.answer(request) is None
    store.remember(request, reply)
    assert store.answer(request) == reply
    with pytest.raises(IdempotencyConflict, match="another request"):
        store.answer(Request("key", "another"))


def test_a_group_is_on_disk_together_and_what_raises_is_undone_alone(
    store: Store, tmp_path: Path
) -> None:
    store.put_class("cat", None, unit(0))
    other = Store(tmp_path)
    with store.group():
        store.add("cat", [shot(1)])
        with pytest.raises(LabelConflict):
            store.add("dog", [shot(2), shot(1)], feature=unit(1))
        store.add("cat", [shot(3)])
        store.remember(Request("key", "same"), Reply(201, b"{}"))
        assert (store.version, other.version) == (3, 1)
        assert store.counts() == (1, 2)
    assert (other.version, other.counts()) == (3, (1, 2))
    assert other.answer(Request("key", "same")) == Reply(201, b"{}")
    other.close()


def test_a_group_that_is_broken_off_leaves_nothing(store: Store) -> None:
    def interrupted() -> None:
        with store.group():
            store.put_class("cat", None, unit(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (store.version, store.counts()) == (0, (0, 0))
    assert store.rows().classes == []


@pytest.mark.parametrize("beyond", ["merge", "refuse"])
def test_a_full_class_merges_into_the_nearest_key_or_refuses(
    store: Store, beyond: Literal["merge", "refuse"]
) -> None:
    cap = Cap(2, beyond)
    near = StoredShot("near", unit(1) * 0.9 + unit(2) * 0.1)
    first = store.add("cat", [shot(1), shot(2)], feature=unit(0), cap=cap)
    if beyond == "refuse":
        with pytest.raises(ClassFull, match="'cat' has 2 shots"):
            store.add("cat", [near], cap=cap)
        assert store.version == 1
        return
    added = store.add("cat", [near], cap=cap)
    assert ([each.merged for each in added.placed], added.shots_in_class) == ([True], 3)
    merged_into = store.shot(added.placed[0].shot_id).merged_into
    assert merged_into == first.placed[0].shot_id
    rows = store.rows().shots
    assert rows.ids == [each.shot_id for each in first.placed]
    mean = unit(1) + near.key
    np.testing.assert_allclose(rows.keys[0], mean / np.linalg.norm(mean), atol=1e-6)
    store.forget(merged_into)
    np.testing.assert_allclose(store.rows().shots.keys[1], near.key, atol=1e-6)
    assert store.rows().shots.ids[1] == added.placed[0].shot_id


def test_a_rollback_restores_everything_and_destroys_nothing(store: Store) -> None:
    texts = {"striped": unit(9)}
    ids = [
        each.shot_id
        for each in store.add(
            "cat", [shot(1, "striped"), shot(2)], feature=unit(0), texts=texts
        ).placed
    ]
    store.put_class("dog", ["a {}"], unit(1))
    before = store.rows()
    store.relabel(ids[0], "dog")
    store.forget(ids[1])
    store.put_class("dog", None, unit(3))
    store.delete_class("cat")
    after = store.rows()
    assert store.rollback(2, caller="ops") == 7
    restored = store.rows()
    assert restored.shots.ids == before.shots.ids
    np.testing.assert_array_equal(restored.shots.class_ids, before.shots.class_ids)
    np.testing.assert_array_equal(restored.shots.text_ids, before.shots.text_ids)
    assert [(row.label, row.prompts) for row in restored.classes] == [
        ("cat", None),
        ("dog", ("a {}",)),
    ]
    assert store.differences(2, 7) == []
    assert [each.what for each in store.differences(6, 7)] == [
        "class_added",
        "class_changed",
        "shot_relabelled",
        "shot_added",
    ]
    last = store.versions(1).items[0]
    assert (last.version, last.action, last.subject, last.caller) == (7, "rollback", "2", "ops")
    assert store.rollback(6) == 8
    assert store.rows().shots.ids == after.shots.ids
    with pytest.raises(UnknownVersion, match="from 0 to 8, got 9"):
        store.rollback(9)
    assert store.version == 8


@pytest.mark.parametrize(
    "statement",
    ["UPDATE shots SET key = zeroblob(32)", "UPDATE texts SET feature = zeroblob(32)"],
)
def test_nothing_damaged_comes_back_into_force(
    store: Store, tmp_path: Path, statement: str
) -> None:
    given, texts = shot(1, "a red one"), {"a red one": unit(2)}
    taught = store.add("cat", [given], feature=unit(0), texts=texts)
    store.forget(taught.placed[0].shot_id)
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute(statement)
    connection.close()
    assert len(store.rows().shots.ids) == 0
    with pytest.raises(CacheDamaged, match="not as it was written"):
        store.rollback(1)
    with pytest.raises(CacheDamaged, match="caption of shot"):
        store.add("cat", [shot(2, "a red one")])
    assert (store.version, store.counts()) == (2, (1, 0))


def test_a_change_tells_its_own_version_whoever_else_writes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(Store(tmp_path)) as other:
        count = Store._changing

        @contextlib.contextmanager
        def overtaken(*arguments: Any) -> Iterator[Any]:
            with count(*arguments) as changing:
                yield changing
            if arguments[0] is store:
                other.put_class(f"class {other.version}", None, unit(0))

        monkeypatch.setattr(Store, "_changing", overtaken)
        assert store.put_class("cat", None, unit(0)) == (True, 1)
        added = store.add("cat", [shot(1)])
        assert added.version == 3
        assert store.relabel(added.placed[0].shot_id, "dog", feature=unit(1)) == 5
        assert store.forget(added.placed[0].shot_id) == 7
        assert store.rollback(3) == 9
        assert store.delete_class("cat") == (1, 11)
        assert store.version == 12


def test_compacting_erases_what_was_forgotten(store: Store, tmp_path: Path) -> None:
    secret = b"a face nobody may see" * 20
    given = StoredShot("ab", unit(1), None, None, secret)
    shot_id = store.add("cat", [given], feature=unit(0)).placed[0].shot_id
    store.forget(shot_id)
    store.put_class("dog", None, unit(2))
    store.compact(keep=1)
    assert [each.version for each in store.versions().items] == [3, 2]
    with pytest.raises(UnknownVersion, match="from 2 to 3"):
        store.rollback(1)
    assert [each.what for each in store.differences(2, 3)] == ["class_added"]
    store.close()
    assert secret not in (tmp_path / FILE).read_bytes()


def test_what_another_process_did_is_a_delta_and_after_compacting_all_rows(
    store: Store, tmp_path: Path
) -> None:
    ids = [each.shot_id for each in store.add("cat", [shot(1), shot(2)], feature=unit(0)).placed]
    other = Store(tmp_path)
    other.relabel(ids[0], "dog", feature=unit(1))
    other.forget(ids[1])
    delta = store.delta(1)
    assert delta is not None
    assert (delta.version, sorted(delta.shots_gone.ids)) == (3, sorted(ids))
    assert ([row.label for row in delta.classes], delta.shots.ids) == (["dog"], [ids[0]])
    assert delta.classes_gone == []
    other.compact()
    assert store.delta(1) is None
    same = store.delta(3)
    assert same is not None
    assert (same.shots_gone.ids, same.classes, same.shots.ids) == ([], [], [])
    other.close()


def test_derived_values_are_kept_and_are_no_change(store: Store) -> None:
    store.set_fit("full", '{"a": 1}', 0)
    store.set_derived_file("image", DerivedFile(3, 100, "ab"))
    store.set_meta("method", "paper")
    assert store.fit("full") == ('{"a": 1}', 0)
    assert store.fit("paper") is None
    store.set_fit("full", '{"a": 1}', 1)
    assert store.fit("full") is None, "the shots that it was fitted to are not there"
    assert store.derived_file("image") == DerivedFile(3, 100, "ab")
    assert store.derived_file("text") is None
    assert store.meta("method") == "paper"
    assert store.version == 0


def test_what_is_gone_comes_with_the_key_that_it_had(store: Store) -> None:
    """Merged shots had one, of them all: whoever holds sums of keys takes it out again."""
    one = Cap(1, "merge")
    store.add("ant", [shot(1)], feature=unit(1))
    [placed] = store.add("ant", [shot(2)], cap=one).placed
    delta = store.delta(1)
    assert delta is not None
    first, both = delta.shots_gone, delta.shots
    np.testing.assert_array_equal(first.keys, [shot(1).key])
    assert first.ids == both.ids
    store.forget(placed.shot_id)
    delta = store.delta(2)
    assert delta is not None
    np.testing.assert_array_equal(delta.shots_gone.keys, both.keys)
    np.testing.assert_array_equal(delta.shots.keys, first.keys)


def test_more_that_was_touched_than_wanted_is_no_delta(store: Store) -> None:
    store.add("ant", [shot(1), shot(2), shot(3)], feature=unit(1))
    store.delete_class("ant")
    assert store.delta(1, most=3) is not None
    assert store.delta(1, most=2) is None


def test_what_is_gone_and_damaged_is_no_delta(store: Store) -> None:
    [placed] = store.add("ant", [shot(1)], feature=unit(1)).placed
    store.add("ant", [shot(2)])
    store.forget(placed.shot_id)
    with store._database.writing() as connection:
        connection.execute("UPDATE shots SET created = 0 WHERE id = ?", (placed.shot_id,))
    assert store.delta(2) is None
    assert len(store.rows().shots.ids) == 1
