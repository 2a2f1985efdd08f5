from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import (
    CacheBusy,
    CacheDamaged,
    CacheMismatch,
    CacheMissing,
    CursorError,
    IdempotencyConflict,
    LabelConflict,
    UnknownClass,
    UnknownShot,
)
from indexer.reader import FILE
from indexer.records import DerivedFile, Floats, Origin, Request, StoredShot
from indexer.store import Store

WIDTH = 8
ORIGIN = Origin("pixel-encoder", "f" * 64, WIDTH, '{"size": [32, 32]}', ("a photo of a {}.",))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    Store.create(tmp_path, ORIGIN)
    store = Store(tmp_path)
    yield store
    store.close()


def unit(seed: int) -> Floats:
    vector = np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def shot(seed: int, caption: str | None = None) -> StoredShot:
    return StoredShot(hashlib.sha256(str(seed).encode()).hexdigest(), unit(seed), caption)


def read_all(folder: Path) -> None:
    with contextlib.closing(Store(folder)) as store:
        store.shot_rows()


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


def test_pages_hold_every_shot_once_in_order(store: Store) -> None:
    ids = [
        each.shot_id
        for each in store.add("cat", [shot(i) for i in range(7)], feature=unit(0)).placed
    ]
    store.add("dog", [shot(100)], feature=unit(1))
    seen: list[str] = []
    cursor = None
    while True:
        page = store.shots("cat", 3, cursor)
        seen += [info.shot_id for info in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == ids
    assert store.shots("dog", 1, None).next_cursor is None
    assert len(store.shots(None, 100, None).items) == 8


def test_a_page_survives_the_deletion_of_the_shot_its_cursor_names(store: Store) -> None:
    added = store.add("cat", [shot(i) for i in range(4)], feature=unit(0)).placed
    cursor = store.shots(None, 2, None).next_cursor
    store.forget(added[1].shot_id)
    assert [each.shot_id for each in store.shots(None, 2, cursor).items] == [
        added[2].shot_id,
        added[3].shot_id,
    ]


@pytest.mark.parametrize("cursor", ["", "-1", "x", "1.5", "1" * 40, "１２", "1; DROP TABLE shots"])
def test_a_cursor_of_ones_own_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(CursorError, match="next_cursor"):
        store.shots(None, 10, cursor)


def test_classes_are_listed_with_prompts_and_counts(store: Store) -> None:
    store.put_class("part/4711 🦊 שלום", ["a {} part", "part"], unit(0))
    store.add("cat", [shot(1)], feature=unit(1))
    first, second = store.classes(10, None).items
    assert (first.label, first.prompts, first.shots) == (
        "part/4711 🦊 שלום",
        ("a {} part", "part"),
        0,
    )
    assert (second.label, second.prompts, second.shots) == ("cat", None, 1)


def test_what_is_not_there_is_named(store: Store) -> None:
    store.put_class("truck", None, unit(0))
    for call in (store.shot, store.thumbnail, store.views, store.forget):
        with pytest.raises(UnknownShot, match="nope"):
            call("nope")
    with pytest.raises(UnknownShot):
        store.relabel("nope", "truck")
    with pytest.raises(UnknownClass, match="did you mean 'truck'"):
        store.delete_class("trukc")
    with pytest.raises(UnknownClass):
        store.shots("car", 10, None)
    with pytest.raises(UnknownClass):
        store.add("car", [shot(1)])


def test_an_idempotency_key_gives_its_answer_again_and_refuses_another_request(
    store: Store,
) -> None:
    request = Request("key", "fingerprint")
    assert store.answer(request) is None
    store.add("cat", [shot(1)], feature=unit(0), request=request)
    assert '"shots_in_class": 1' in (store.answer(request) or "")
    with pytest.raises(IdempotencyConflict, match="'key'"):
        store.answer(Request("key", "another"))


def test_an_idempotency_key_is_forgotten_after_a_day(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request("key", "fingerprint")
    store.add("cat", [shot(1)], feature=unit(0), request=request)
    now = time.time()
    monkeypatch.setattr("indexer.reader.time.time", lambda: now + 25 * 3600)
    assert store.answer(request) is None


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


def test_readers_beside_a_writer_see_whole_changes(store: Store) -> None:
    """Two shots a call: whoever reads between calls must never count an odd number."""
    store.put_class("cat", None, unit(0))
    odd: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            count = len(store.shots("cat", 1000, None).items)
            if count % 2:
                odd.append(count)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for i in range(0, 100, 2):
        store.add("cat", [shot(i), shot(i + 1)])
    done.set()
    for reader in readers:
        reader.join()
    assert odd == []
    assert store.class_info("cat").shots == 100


def test_no_store_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CacheMissing, match=FILE):
        Store(tmp_path)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_damage_and_no_sqlite_error(tmp_path: Path, part: float) -> None:
    Store.create(tmp_path, ORIGIN)
    store = Store(tmp_path)
    store.add("cat", [shot(i) for i in range(500)], feature=unit(0))
    store.close()
    data = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(data[: int(len(data) * part)])
    with pytest.raises(CacheDamaged, match="backup"):
        read_all(tmp_path)


def test_another_kind_of_file_is_damage(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("not a database at all, but longer than its header" * 50)
    with pytest.raises(CacheDamaged):
        Store(tmp_path)
    (tmp_path / FILE).unlink()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(CacheDamaged, match="not a cache"):
        Store(tmp_path)


def test_a_store_of_a_newer_program_is_refused(store: Store, tmp_path: Path) -> None:
    store.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(CacheMismatch, match="schema 99"):
        Store(tmp_path)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE shots SET key = x'00'", "got 1"),
        # Little-endian 7fc00000 is NaN.
        ("UPDATE shots SET key = cast(x'0000c07f' || zeroblob(28) AS BLOB)", "finite"),
        ("DELETE FROM meta WHERE key = 'width'", "width"),
        ("UPDATE meta SET value = 'x' WHERE key = 'templates'", "unreadable"),
    ],
)
def test_spoiled_values_are_damage(
    store: Store, tmp_path: Path, statement: str, reason: str
) -> None:
    store.add("cat", [shot(1)], feature=unit(0))
    store.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(CacheDamaged, match=reason):
        read_all(tmp_path)


def test_a_file_that_another_program_locks_is_busy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    monkeypatch.setattr("indexer.database.BUSY_SECONDS", 0.05)
    impatient = Store(tmp_path)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(CacheBusy):
        impatient.put_class("cat", None, unit(0))
    other.execute("ROLLBACK")
    other.close()
    impatient.put_class("cat", None, unit(0))
    impatient.close()


def test_what_is_forgotten_is_overwritten_on_disk(store: Store, tmp_path: Path) -> None:
    secret = b"a face nobody may see" * 20
    given = StoredShot("ab", unit(1), None, None, secret)
    shot_id = store.add("cat", [given], feature=unit(0)).placed[0].shot_id
    store.forget(shot_id)
    store.close()
    assert secret not in (tmp_path / FILE).read_bytes()
