"""Versions: what differs between two, and the way back to one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from indexer.errors import CacheDamaged, UnknownVersion
from indexer.reader import FILE
from indexer.records import Cap, Difference
from indexer.store import Store
from tests.indexer.helpers import ORIGIN, stored_shot, unit


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    Store.create(tmp_path, ORIGIN)
    with closing(Store(tmp_path)) as store:
        yield store


def teach(store: Store, label: str, *seeds: int, cap: Cap | None = None) -> list[str]:
    shots = [stored_shot(seed) for seed in seeds]
    feature = None if store.has_class(label) else unit(1000)
    added = store.add(label, shots, feature=feature, cap=cap)
    return [placed.shot_id for placed in added.placed]


def held(store: Store) -> tuple[list[object], list[object]]:
    """All that is in force, as people and as indices see it."""
    rows = store.rows()
    classes = [(each.label, each.prompts, each.feature.tobytes()) for each in rows.classes]
    shots = [
        (each.shot_id, each.label, each.merged_into) for each in store.shots(None, 99, None).items
    ]
    return [*classes, rows.shots.keys.tobytes()], [*shots, tuple(rows.shots.ids)]


def changed(store: Store) -> list[tuple[list[object], list[object]]]:
    """A store with a history of all kinds; what it held at each version."""
    states = [held(store)]

    def note() -> None:
        states.append(held(store))

    first, second = teach(store, "ant", 1, 2)
    note()
    teach(store, "bee", 3)
    note()
    store.relabel(first, "bee")
    note()
    store.put_class("ant", ("an {}",), unit(1001))
    note()
    teach(store, "bee", 4, 5, cap=Cap(2, "merge"))
    note()
    store.forget(second)
    note()
    store.delete_class("bee")
    note()
    teach(store, "bee", 6)
    note()
    return states


def test_the_last_versions_come_first_and_say_who_did_what(store: Store) -> None:
    teach(store, "ant", 1)
    store.forget(store.shots(None, 1, None).items[0].shot_id, caller="camera")
    page = store.versions(2)
    assert [(each.version, each.action, each.caller) for each in page.items] == [
        (2, "forget", "camera"),
        (1, "add", None),
    ]
    assert [(each.classes, each.shots) for each in page.items] == [(1, 0), (1, 1)]
    teach(store, "ant", 2)
    rest = store.versions(2, page.next_cursor)
    assert ([each.version for each in rest.items], rest.next_cursor) == ([0], None)


def test_every_kind_of_difference(store: Store) -> None:
    moved, gone = teach(store, "ant", 1, 2)
    teach(store, "cow", 9)
    before = store.version
    store.relabel(moved, "bee", feature=unit(7))
    store.forget(gone)
    store.put_class("ant", ("an {}",), unit(8))
    (fresh,) = teach(store, "ant", 4)
    store.delete_class("cow")
    (other,) = teach(store, "dog", 9)
    after = store.version
    found = store.differences(before, after)
    assert [each for each in found if each.shot_id is None] == [
        Difference("class_changed", "ant"),
        Difference("class_removed", "cow"),
        Difference("class_added", "bee"),
        Difference("class_added", "dog"),
    ]
    shots = {(each.what, each.label, each.previous_label) for each in found if each.shot_id}
    assert ("shot_relabelled", "bee", "ant") in shots
    assert {each.shot_id for each in found if each.what == "shot_added"} == {fresh, other}
    assert gone in {each.shot_id for each in found if each.what == "shot_removed"}


def kind(difference: Difference, *, turned: bool = False) -> tuple[str, str | None]:
    """What it is, or the opposite of it."""
    opposite = {"added": "removed", "removed": "added"}
    thing, _, what = difference.what.partition("_")
    return f"{thing}_{opposite.get(what, what) if turned else what}", difference.shot_id


@pytest.mark.parametrize(("before", "after"), [(0, 8), (1, 5), (3, 7)])
def test_the_other_way_round_is_the_opposite(store: Store, before: int, after: int) -> None:
    changed(store)
    there = {kind(each) for each in store.differences(before, after)}
    back = {kind(each, turned=True) for each in store.differences(after, before)}
    assert there == back
    assert there


def test_a_shot_that_shares_its_key_from_then_on_is_merged(store: Store) -> None:
    one, two = teach(store, "ant", 1, 2)
    before = store.version
    store.relabel(two, "bee", feature=unit(7))
    store.relabel(two, "ant")
    assert store.differences(before, store.version) == [Difference("class_added", "bee")]
    store.relabel(two, "bee")
    store.relabel(two, "ant", cap=Cap(1, "merge"))
    assert store.shot(two).merged_into == one
    found = store.differences(before, store.version)
    assert Difference("shot_merged", "ant", two) in found


def test_of_a_key_that_others_join_or_leave_every_shot_is_told(store: Store) -> None:
    (one,) = teach(store, "ant", 1)
    (two,) = teach(store, "ant", 2, cap=Cap(1, "merge"))
    store.forget(one)
    joined, left = store.differences(1, 2), store.differences(2, 3)
    assert joined == [Difference("shot_merged", "ant", one), Difference("shot_added", "ant", two)]
    assert left == [Difference("shot_removed", "ant", one), Difference("shot_merged", "ant", two)]
    store.rollback(2)
    assert store.differences(2, 4) == []


def test_every_version_can_be_restored_and_nothing_is_lost(store: Store) -> None:
    states = changed(store)
    last = store.version
    for version in (0, 4, 6, 1, 7, 2, 8, 5, 3):
        store.rollback(version)
        assert held(store) == states[version]
        assert store.differences(version, store.version) == []
    assert store.version > last
    assert store.versions(1).items[0].subject == "3"
    assert store.rollback(store.version) == store.version


def test_a_restored_version_survives_a_start(store: Store) -> None:
    states = changed(store)
    store.rollback(4)
    with closing(Store(store.folder)) as again:
        assert held(again) == states[4]


@pytest.mark.parametrize("version", [-1, 3, 2**53])
def test_a_version_that_there_is_not(store: Store, version: int) -> None:
    teach(store, "ant", 1)
    teach(store, "ant", 2)
    for ask in (store.rollback, lambda v: store.differences(0, v), store.check_version):
        with pytest.raises(UnknownVersion) as refused:
            ask(version)
        assert (refused.value.oldest, refused.value.newest) == (0, 2)


@pytest.mark.parametrize(
    ("damage", "version"),
    [
        ("UPDATE placements SET until = 2 WHERE id = 1", 2),
        ("UPDATE placements SET class_id = 1 WHERE id = 3", 2),
        ("DELETE FROM placements WHERE id = 2", 5),
        ("UPDATE class_states SET prompts = '[]' WHERE id = 2", 3),
        ("UPDATE versions SET created = 0 WHERE version = 4", 4),
    ],
)
def test_what_was_damaged_is_told_and_not_restored(store: Store, damage: str, version: int) -> None:
    changed(store)
    with closing(sqlite3.connect(store.folder / FILE)) as connection, connection:
        assert connection.execute(damage).rowcount == 1
    last = store.version
    with pytest.raises(CacheDamaged):
        store.differences(last, version)
    with pytest.raises(CacheDamaged):
        store.rollback(version)
    assert store.version == last
