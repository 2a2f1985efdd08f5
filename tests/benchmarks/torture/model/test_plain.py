"""The plain cache itself, small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.torture.model.plain import Cap, Doubles, Plain, Refused

# Pictures on a circle, a tenth of a turn apart.
TURN = 2 * np.pi / 10


def feature(picture: int) -> Doubles:
    return np.array([np.cos(picture * TURN), np.sin(picture * TURN)])


@pytest.fixture
def plain() -> Plain:
    plain = Plain(feature)
    plain.add("ant", [(0, None), (2, "red")], False, None, "me")
    return plain


def test_a_shot_again_is_the_one_that_there_is(plain: Plain) -> None:
    found = plain.add("ant", [(2, None), (3, None), (3, None)], False, None, None)
    assert found == ([1, 2, 2], [False, True, False], [False] * 3, 3)
    assert plain.add("ant", [(0, None)], False, None, None)[1] == [False]
    assert plain.version == 2


def test_what_is_refused_changes_nothing(plain: Plain) -> None:
    with pytest.raises(Refused, match="LabelConflict"):
        plain.add("bee", [(5, None), (0, None)], False, None, None)
    with pytest.raises(Refused, match="ClassFull"):
        plain.add("ant", [(5, None)], False, Cap(2, merges=False), None)
    assert (plain.version, len(plain.shots), len(plain.state.classes)) == (1, 2, 1)


def test_a_full_class_merges_into_the_nearest_key(plain: Plain) -> None:
    assert plain.add("ant", [(3, None)], False, Cap(2, merges=True), None)[2] == [True]
    assert plain.state.groups() == [[0], [1, 2]]
    np.testing.assert_allclose(plain.key([1, 2]), _direction(2.5), atol=1e-12)
    assert plain.differences(1, 2) == [
        ("shot_merged", "ant", 1, None),
        ("shot_added", "ant", 2, None),
    ]
    np.testing.assert_allclose(Plain(feature, [(1, None), (6, None)]).key([0, 1]), feature(1))


def test_every_version_comes_back_as_it_was(plain: Plain) -> None:
    plain.relabel(0, "bee", None, None)
    plain.put_class("bee", ("a {}",), None)
    plain.delete_class("ant", None)
    assert plain.differences(1, 4) == [
        ("class_removed", "ant", None, None),
        ("class_added", "bee", None, None),
        ("shot_relabelled", "bee", 0, "ant"),
        ("shot_removed", "ant", 1, None),
    ]
    plain.rollback(1, None)
    assert (plain.version, plain.state) == (5, plain.past[1])
    plain.rollback(1, None)
    assert plain.version == 5


def test_a_moved_shot_has_another_key_though_nothing_differs(plain: Plain) -> None:
    plain.relabel(0, "bee", None, None)
    plain.relabel(0, "ant", None, None)
    plain.delete_class("bee", None)
    assert plain.differences(1, 4) == []
    plain.rollback(1, None)
    assert plain.version == 5


def test_a_group_that_is_broken_off_was_never_there(plain: Plain) -> None:
    saved = plain.saved()
    plain.forget(0, None)
    plain.replies["key"] = "asked", b"answered"
    plain.undo(saved)
    assert (plain.version, plain.replies, len(plain.facts)) == (1, {}, 2)
    assert plain.add("ant", [(7, None)], False, None, None)[0] == [2]


def test_what_was_forgotten_for_good_cannot_be_gone_back_to(plain: Plain) -> None:
    plain.forget(0, None)
    plain.compact(0)
    plain.at(2)
    for version in (1, 3):
        with pytest.raises(Refused, match="UnknownVersion"):
            plain.rollback(version, None)


def _direction(turns: float) -> Doubles:
    return np.array([np.cos(turns * TURN), np.sin(turns * TURN)])
