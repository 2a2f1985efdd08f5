from __future__ import annotations

import inspect

import pytest

from indexer import errors


def test_the_module_draws_every_error_in_its_tree() -> None:
    drawn = inspect.getdoc(errors) or ""
    names = [
        name for name, value in vars(errors).items() if inspect.isclass(value) and name[0] != "_"
    ]
    missing = [name for name in names if issubclass(getattr(errors, name), Exception)]
    assert [name for name in missing if name not in drawn] == []


def test_unknown_class_suggests_close_labels_and_no_others() -> None:
    error = errors.UnknownClass("trcuk", ["truck", "zebra"])
    assert error.suggestions == ("truck",)
    assert "did you mean 'truck'" in str(error)
    assert "did you mean" not in str(errors.UnknownClass("truck", ["zebra"]))


@pytest.mark.parametrize("kind", [errors.UnknownShot("x"), errors.UnknownClass("x")])
def test_what_is_not_there_is_a_lookup_error(kind: Exception) -> None:
    assert isinstance(kind, LookupError)
    assert isinstance(kind, errors.CacheError)


def test_a_label_conflict_names_both_labels_and_the_shot() -> None:
    error = errors.LabelConflict("abc", "cat", "dog")
    assert all(part in str(error) for part in ("abc", "'cat'", "'dog'"))
