from __future__ import annotations

import pytest

from indexer.errors import LabelError, PromptError
from indexer.labels import clean_caption, validate_label, validate_prompts


@pytest.mark.parametrize(
    "label",
    ["a", "x" * 256, "part/4711", "🦊", "👩‍🚀", "שלום", "a'b\"c", "%2F", " padded ", "naïve", "{}"],
)
def test_any_visible_text_is_a_label_and_stays_as_it_is(label: str) -> None:
    assert validate_label(label) == label


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("", "got 0"),
        ("x" * 257, "got 257"),
        ("x" * 10_000, "got 10000"),
        ("   ", "can be seen"),
        ("\u2003", "can be seen"),
        ("a\nb", "control"),
        ("a\x00", "control"),
        ("a\x85", "control"),
        ("a\ud800", "control"),
    ],
)
def test_what_is_no_label_says_why_and_not_at_length(label: str, reason: str) -> None:
    with pytest.raises(LabelError, match=reason) as caught:
        validate_label(label)
    assert len(str(caught.value)) < 200


def test_prompts_stay_as_they_are() -> None:
    assert validate_prompts(["a {} part", "part"]) == ("a {} part", "part")


@pytest.mark.parametrize(
    "prompts", [[], [""], [" "], ["x" * 1001], ["a\nb"], ["a"] * 101, "a photo of a {}"]
)
def test_what_are_no_prompts(prompts: list[str]) -> None:
    with pytest.raises(PromptError, match="expected"):
        validate_prompts(prompts)


def test_a_template_needs_a_place_for_the_label() -> None:
    assert validate_prompts(["a {}"], placeholder=True) == ("a {}",)
    with pytest.raises(PromptError, match=r"expected \{\}.*'a photo'"):
        validate_prompts(["a photo"], placeholder=True)


def test_captions_are_kept_as_given_and_blank_ones_are_none() -> None:
    assert clean_caption("a red\ttruck\n") == "a red\ttruck\n"
    assert [clean_caption(blank) for blank in (None, "", " \n")] == [None, None, None]
    with pytest.raises(PromptError, match="whole characters"):
        clean_caption("half \udc00")
