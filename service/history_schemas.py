"""What the service answers about versions of the cache, for itself and its client alike.

Imports nothing of the product, as `service.schemas`.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from service.inputs import LABEL
from service.schemas import CREATED, SHOT_ID


class CacheVersion(BaseModel):
    """One change of the cache."""

    version: int = Field(description="That it made.", examples=[42])
    created: datetime = Field(examples=[CREATED])
    action: str = Field(
        description="create, add, relabel, forget, put_class, delete_class, rollback or migrate.",
        examples=["add"],
    )
    subject: str | None = Field(
        description="The label, shot or version that it was about.", examples=[LABEL]
    )
    caller: str | None = Field(
        description="Whose API key asked for it; null without keys.", examples=["camera-3"]
    )
    classes: int = Field(description="That there were then.", examples=[12])
    shots: int = Field(description="That there were then.", examples=[192])


class VersionPage(BaseModel):
    """A page of versions."""

    versions: list[CacheVersion]
    next_cursor: str | None = Field(
        description="For the next page; null on the last.", examples=["41"]
    )


class Difference(BaseModel):
    """One thing that differs between two versions."""

    what: str = Field(
        description="class_added, class_removed, class_changed (other prompts), shot_added, "
        "shot_removed, shot_relabelled, or shot_merged (its key is shared with other shots).",
        examples=["shot_relabelled"],
    )
    label: str = Field(
        description="Of the class, or of the shot's class in the second version, or else in the "
        "first.",
        examples=[LABEL],
    )
    shot_id: str | None = Field(description="Null for a class.", examples=[SHOT_ID])
    previous_label: str | None = Field(
        description="Of a relabelled shot, in the first version.", examples=["van"]
    )


class DiffPage(BaseModel):
    """A page of what differs between two versions."""

    from_version: int = Field(examples=[40])
    to_version: int = Field(examples=[42])
    counts: dict[str, int] = Field(
        description="How many differences of each kind there are, on all pages; a kind without "
        "any is left out.",
        examples=[{"shot_relabelled": 1}],
    )
    differences: list[Difference]
    next_cursor: str | None = Field(
        description="For the next page; null on the last.", examples=[None]
    )


class RolledBack(BaseModel):
    """The cache after it went back to a version."""

    restored_version: int = Field(description="That it went back to.", examples=[40])
    classes: int = Field(examples=[12])
    shots: int = Field(examples=[190])
    cache_version: int = Field(
        description="The version that this made; the last one, if nothing differed.", examples=[43]
    )
