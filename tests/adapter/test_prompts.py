"""Prompts, and the zero-shot classifier that is made of them."""

from __future__ import annotations

import pytest
import torch

from adapter.encoder import PixelEncoder
from adapter.prompts import DEFAULT_TEMPLATES, TEMPLATES, class_feature, classifier, fill


def test_a_label_takes_every_place() -> None:
    assert fill(("a {} is a {}.", "{}"), "cat") == ["a cat is a cat.", "cat"]


@pytest.mark.parametrize(
    "label", ["{}", "{0}", "{name}", "a}b{c", "%s", "\\1", "part 4711/b", "🦊"]
)
def test_labels_of_any_characters_are_put_in_as_they_are(label: str) -> None:
    assert fill(DEFAULT_TEMPLATES, label) == ["a photo of a " + label + "."]


def test_underscores_of_folder_names_become_spaces() -> None:
    assert fill(DEFAULT_TEMPLATES, "golden_retriever") == ["a photo of a golden retriever."]


def test_a_finished_prompt_stays_as_it_is() -> None:
    assert fill(("my grandmother's {teapot}",), "x") == ["my grandmother's {teapot}"]


def test_no_template_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected at least one prompt for 'cat', got none"):
        fill((), "cat")


def test_every_data_set_has_templates_with_a_place_for_the_label() -> None:
    assert len(TEMPLATES) == 15
    assert len(TEMPLATES["imagenet"]) == 7
    assert TEMPLATES["dtd"] == ("{} texture.",)
    for templates in TEMPLATES.values():
        assert all("{}" in template for template in templates)


def test_a_row_is_the_unit_mean_of_its_prompts() -> None:
    encoder = PixelEncoder()
    features = encoder.encode_texts(["itap of a cat.", "art of the cat."])
    expected = features.mean(0) / features.mean(0).norm()
    row = class_feature(encoder, "cat", ("itap of a {}.", "art of the {}."))
    torch.testing.assert_close(row, expected)
    assert row.shape == (encoder.width,)


def test_a_classifier_has_a_row_a_label_and_takes_a_class_s_own_prompts() -> None:
    encoder = PixelEncoder()
    rows = classifier(
        encoder, ["cat", "part 4711", "dog"], ("a {}.", "the {}."), {"part 4711": ["a steel bolt"]}
    )
    assert rows.shape == (3, encoder.width)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(rows[0], class_feature(encoder, "cat", ("a {}.", "the {}.")))
    torch.testing.assert_close(rows[1], encoder.encode_texts(["a steel bolt"])[0])
    torch.testing.assert_close(rows[2], class_feature(encoder, "dog", ("a {}.", "the {}.")))


def test_a_classifier_of_no_class() -> None:
    assert classifier(PixelEncoder(), []).shape == (0, 32)


def test_a_class_without_prompts_is_an_error() -> None:
    with pytest.raises(ValueError, match="'cat'"):
        classifier(PixelEncoder(), ["cat"], DEFAULT_TEMPLATES, {"cat": []})
