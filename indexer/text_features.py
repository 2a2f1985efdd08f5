"""Text features on their way into a cache, encoded once for a group of changes."""

from __future__ import annotations

from collections.abc import Sequence

from adapter.encoder import Encoder
from adapter.prompts import class_feature
from indexer.records import Floats
from indexer.shots import as_array

LARGEST = 4096
"""Captions kept at most, where nobody says `forget`."""

Prompts = tuple[str, ...] | None


class TextFeatures:
    """Features of classes and captions, kept until `forget`. For one thread."""

    def __init__(self, encoder: Encoder, templates: Sequence[str]) -> None:
        """Begin empty.

        Args:
            encoder: of the texts.
            templates: of classes without prompts of their own.
        """
        self._encoder = encoder
        self._templates = tuple(templates)
        self._classes: dict[tuple[str, Prompts], Floats] = {}
        self._captions: dict[str, Floats] = {}

    def forget(self) -> None:
        """Keep none of them any longer."""
        self._classes.clear()
        self._captions.clear()

    def of_class(self, label: str, prompts: Sequence[str] | None) -> Floats:
        """(D,): of a class with these prompts, or with the templates."""
        own = None if prompts is None else tuple(prompts)
        if (label, own) not in self._classes:
            texts = self._templates if own is None else own
            self._classes[label, own] = as_array(class_feature(self._encoder, label, texts))
        return self._classes[label, own]

    def of_captions(self, captions: Sequence[str]) -> dict[str, Floats]:
        """Caption -> (D,)."""
        if len(self._captions) > LARGEST:
            self._captions.clear()
        missing = [caption for caption in captions if caption not in self._captions]
        features = as_array(self._encoder.encode_texts(missing))
        self._captions.update(zip(missing, features, strict=True))
        return {caption: self._captions[caption] for caption in captions}
