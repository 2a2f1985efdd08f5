"""What callers send beside images: query parameters and JSON bodies, all of them strict.

Imports nothing of the product, so that the client needs neither torch nor a server's packages.
"""

from __future__ import annotations

import difflib
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)
from pydantic_core import PydanticCustomError

MAX_BATCH_IMAGES = 128
MAX_ADD_IMAGES = 64
MAX_LABEL = 256
MAX_CAPTION = 1_000
MAX_PROMPTS = 100
MAX_PROMPT = 1_000
MAX_LIST = 1_000
MAX_VERSION = 2**53 - 1

DEFAULT_TIMEOUT = 60.0
"""Seconds that our own callers wait for an answer."""

LABEL = "truck"
IMAGE = "UklGRhYAAABXRUJQVlA4TAoAAAAvAAAAAIj+R/8D"
"""One red pixel, as a WebP."""

# An error for each of a million numbers would need more memory than they do: the first is enough.
Vector = Annotated[list[StrictFloat], Field(fail_fast=True)]
"""D numbers; their length and finiteness are checked against the model."""

Base64 = Annotated[
    StrictStr,
    Field(
        description="The image file in base64.",
        examples=[IMAGE],
        json_schema_extra={"format": "byte"},
    ),
]
Caption = Annotated[StrictStr, Field(max_length=MAX_CAPTION)]
Prompt = Annotated[StrictStr, Field(min_length=1, max_length=MAX_PROMPT)]


class Query(BaseModel):
    """Query parameters: an unknown one is an error that names those known."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, data: Any) -> Any:
        for name in set(data) - set(_names(cls)):
            hint = f"{name}: {unknown_hint(cls, name)}"
            raise PydanticCustomError("unknown", "{hint}", {"hint": hint})
        return data


class NoQuery(Query):
    """No query parameters at all."""


class ClassifyQuery(Query):
    """How much of an answer to show."""

    top_k: int = Field(5, ge=1, le=1000, description="How many classes to show, best first.")
    explain: int = Field(
        5, ge=0, le=1000, description="How many shots to show that speak for an answer."
    )
    min_confidence: float = Field(
        0.0, ge=0, le=1, description="Below this confidence the label is null, `unknown` true."
    )


class AddQuery(Query):
    """What to do with an image that is known under another label."""

    relabel: bool = Field(False, description="Move known images to this label, not refuse them.")


class ListQuery(Query):
    """A page of a list."""

    limit: int = Field(100, ge=1, le=MAX_LIST, description="Most entries of the page.")
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")


class ShotsQuery(ListQuery):
    """A page of the shots, of one class or of all."""

    label: str | None = Field(None, description="Only the shots of this class.")


class DiffQuery(ListQuery):
    """A page of what differs between two versions."""

    from_version: int = Field(
        alias="from", ge=0, le=MAX_VERSION, description="The version to begin with."
    )
    to_version: int = Field(
        alias="to", ge=0, le=MAX_VERSION, description="The version to compare it with."
    )


class Body(BaseModel):
    """A JSON body: an unknown field is an error.

    Attributes:
        most_vectors: embeddings that a valid one holds.
        most_text: characters of free text, in which commas and brackets may stand.
    """

    model_config = ConfigDict(extra="forbid")

    most_vectors: ClassVar[int] = 0
    most_text: ClassVar[int] = 0


class ClassifyBody(Body):
    """One image, or its ready embedding."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"image": IMAGE}]})

    most_vectors = 1

    image: Base64 | None = None
    embedding: Vector | None = Field(None, description="D numbers of the model's image feature.")


class BatchBody(Body):
    """Several images, or ready embeddings."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"images": [IMAGE]}]})

    most_vectors = MAX_BATCH_IMAGES

    images: Annotated[list[Base64], Field(fail_fast=True)] | None = None
    embeddings: Annotated[list[Vector], Field(fail_fast=True)] | None = None


class AddBody(Body):
    """A label with its images (or embeddings), and a caption each or none."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"label": LABEL, "images": [IMAGE], "captions": ["a red truck"]}]
        }
    )

    most_vectors = MAX_ADD_IMAGES
    most_text = MAX_ADD_IMAGES * MAX_CAPTION + MAX_LABEL

    label: StrictStr = Field(description="1 to 256 characters; a new one makes a class.")
    images: Annotated[list[Base64], Field(fail_fast=True)] | None = None
    embeddings: Annotated[list[Vector], Field(fail_fast=True)] | None = None
    captions: Annotated[list[Caption | None], Field(fail_fast=True)] | None = Field(
        None, description="None, or one for each image; null or empty for an image without."
    )


class ShotPatch(Body):
    """What to change of a shot."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"label": LABEL}]})

    most_text = MAX_LABEL

    label: StrictStr = Field(description="The class it belongs to; a new one is made.")


class ClassBody(Body):
    """A class's own prompts."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompts": ["a photo of a truck", "a lorry on a road"]}]}
    )

    most_text = MAX_PROMPTS * MAX_PROMPT

    prompts: Annotated[list[Prompt], Field(fail_fast=True)] | None = Field(
        None,
        max_length=MAX_PROMPTS,
        description="Sentences that describe the class, instead of the templates with its label.",
    )


class RollbackBody(Body):
    """What to go back to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 40}]})

    version: StrictInt = Field(
        ge=0, le=MAX_VERSION, description="One of those that GET /cache/versions lists."
    )


def unknown_hint(model: type[BaseModel], name: str) -> str:
    """What to say about a field or parameter that `model` does not have."""
    known = _names(model)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"unknown, did you mean {close[0]}?"
    return "unknown, expected one of " + ", ".join(known) if known else "unknown, none is taken"


def _names(model: type[BaseModel]) -> list[str]:
    """The fields as callers write them."""
    return [field.alias or name for name, field in model.model_fields.items()]
