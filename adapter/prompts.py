"""From a class's name to its row of the zero-shot classifier, through prompts.

The templates are CoOp's, by data set (Zhou et al., "Learning to Prompt for Vision-Language
Models", IJCV 2022), and Tip-Adapter's ensemble of seven for ImageNet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from adapter.encoder import Encoder

PLACEHOLDER = "{}"

DEFAULT_TEMPLATES = ("a photo of a {}.",)

TEMPLATES: dict[str, tuple[str, ...]] = {
    "imagenet": (
        "itap of a {}.",
        "a bad photo of the {}.",
        "a origami {}.",
        "a photo of the large {}.",
        "a {} in a video game.",
        "art of the {}.",
        "a photo of the small {}.",
    ),
    "caltech-101": DEFAULT_TEMPLATES,
    "oxford_pets": ("a photo of a {}, a type of pet.",),
    "stanford_cars": DEFAULT_TEMPLATES,
    "oxford_flowers": ("a photo of a {}, a type of flower.",),
    "food-101": ("a photo of {}, a type of food.",),
    "fgvc_aircraft": ("a photo of a {}, a type of aircraft.",),
    "sun397": DEFAULT_TEMPLATES,
    "dtd": ("{} texture.",),
    "eurosat": ("a centered satellite photo of {}.",),
    "ucf101": ("a photo of a person doing {}.",),
    "imagenetv2": DEFAULT_TEMPLATES,
    "imagenet-sketch": DEFAULT_TEMPLATES,
    "imagenet-adversarial": DEFAULT_TEMPLATES,
    "imagenet-rendition": DEFAULT_TEMPLATES,
}


def fill(templates: Sequence[str], label: str) -> list[str]:
    """Put a label into each template, in place of every `{}`; a finished prompt stays as it is.

    Underscores become spaces, as in CoOp: labels are often the names of folders. Not
    `str.format`: labels and prompts may hold braces of their own.

    Raises:
        ValueError: no template at all.
    """
    if not templates:
        raise ValueError(f"expected at least one prompt for {label!r}, got none")
    name = label.replace("_", " ")
    return [template.replace(PLACEHOLDER, name) for template in templates]


def class_feature(
    encoder: Encoder, label: str, prompts: Sequence[str] = DEFAULT_TEMPLATES
) -> Tensor:
    """(D,): unit-norm mean of the unit-norm features of a class's prompts (or templates).

    Raises:
        ValueError: no prompt at all.
    """
    return classifier(encoder, [label], prompts)[0]


def classifier(
    encoder: Encoder,
    labels: Sequence[str],
    templates: Sequence[str] = DEFAULT_TEMPLATES,
    prompts: Mapping[str, Sequence[str]] | None = None,
) -> Tensor:
    """(C, D): the zero-shot classifier W, a row a label.

    Args:
        encoder: its text tower is used, in one call.
        labels: C class names.
        templates: for every class that has no prompts of its own.
        prompts: label -> that class's own prompts.

    Raises:
        ValueError: a class without any prompt.
    """
    own = prompts or {}
    texts = [fill(own.get(label, templates), label) for label in labels]
    features = encoder.encode_texts([text for group in texts for text in group])
    groups = [len(group) for group in texts]
    rows = torch.repeat_interleave(
        torch.arange(len(groups)), torch.tensor(groups, dtype=torch.int64)
    )
    sums = features.new_zeros(len(groups), encoder.width)
    # A sum points where the mean does; the division goes with the normalisation.
    return functional.normalize(sums.index_add_(0, rows.to(features.device), features), dim=1)
