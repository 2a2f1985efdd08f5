"""What may be a label, a prompt or a caption."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from adapter.prompts import PLACEHOLDER
from indexer.errors import LabelError, PromptError

LONGEST_LABEL = 256
LONGEST_PROMPT = 1000
MOST_PROMPTS = 100


def validate_label(label: str) -> str:
    """The label itself: 1 to 256 characters, not blank, without control characters.

    Raises:
        LabelError: it is none.
    """
    if not 1 <= len(label) <= LONGEST_LABEL:
        raise LabelError(
            f"expected a label of 1 to {LONGEST_LABEL} characters, got {len(label)}: {label[:20]!r}"
        )
    if not label.strip():
        raise LabelError(f"expected a label that can be seen, got {label!r}")
    if (bad := _unprintable(label)) is not None:
        raise LabelError(f"expected a label without control characters, got {bad!r} in {label!r}")
    return label


def validate_prompts(prompts: Sequence[str], *, placeholder: bool = False) -> tuple[str, ...]:
    """The prompts themselves: 1 to 100 of 1 to 1000 characters, none blank.

    Args:
        prompts: of one class; or templates for every class, which need a `placeholder`.
        placeholder: whether each must hold `{}`, where the label goes.

    Raises:
        PromptError: they are none.
    """
    if isinstance(prompts, str) or not 1 <= len(prompts) <= MOST_PROMPTS:
        raise PromptError(f"expected a list of 1 to {MOST_PROMPTS} prompts, got {prompts!r:.80}")
    for prompt in prompts:
        if not prompt.strip() or len(prompt) > LONGEST_PROMPT:
            raise PromptError(
                f"expected prompts of 1 to {LONGEST_PROMPT} characters, got {prompt[:80]!r}"
            )
        if (bad := _unprintable(prompt)) is not None:
            raise PromptError(f"expected prompts without control characters, got {bad!r}")
        if placeholder and PLACEHOLDER not in prompt:
            raise PromptError(f"expected {PLACEHOLDER} for the label in each, got {prompt!r}")
    return tuple(prompts)


def clean_caption(caption: str | None) -> str | None:
    """The caption itself, None if it is blank.

    Raises:
        PromptError: it holds half of a character pair, which no file can hold.
    """
    if caption is None or not caption.strip():
        return None
    if any(unicodedata.category(character) == "Cs" for character in caption):
        raise PromptError(f"expected a caption of whole characters, got {caption[:80]!r}")
    return caption


def _unprintable(text: str) -> str | None:
    """The first control character (category Cc), or half of a surrogate pair (Cs)."""
    return next((each for each in text if unicodedata.category(each) in ("Cc", "Cs")), None)
