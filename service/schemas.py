"""What the service answers, for itself and its client alike.

Imports nothing of the product, so that the client needs neither torch nor a server's packages.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.inputs import LABEL

SHOT_ID = "4f0c2a9b6d1e4c58a3b7e0f1d2c3b4a5"
REQUEST_ID = "1b7e0d9c5a2f4e83"
MODEL = "ViT-B-32/laion2b_s34b_b79k"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
CREATED = "2026-01-31T12:00:00Z"
ANSWERED_BY = "Number of the adapter that answered; null for untrained networks. See GET /adapter."


class ProblemDocument(BaseModel):
    """An error, as RFC 9457 has it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:xmadapter:problem:invalid"])
    title: str = Field(examples=["A value is out of range or unknown"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["query parameter top_k: expected at most 1000, got '1001'"])
    request_id: str = Field(examples=[REQUEST_ID])


class Prediction(BaseModel):
    """One class's part of an answer."""

    label: str = Field(examples=[LABEL])
    probability: float = Field(examples=[0.93])
    logit: float = Field(description="The sum of the terms.", examples=[31.2])
    terms: dict[str, float] = Field(
        description="What each source of evidence adds to the logit.",
        examples=[{"zero_shot": 24.0, "image_cache": 4.1, "text_cache": 3.1}],
    )


class Neighbor(BaseModel):
    """One shot's part of an answer."""

    shot_id: str = Field(examples=[SHOT_ID])
    label: str = Field(examples=[LABEL])
    image_affinity: float = Field(examples=[0.81])
    text_affinity: float = Field(examples=[0.77])
    contribution: float = Field(
        description="What it adds to its class's image and text terms.", examples=[0.9]
    )


class Verdict(BaseModel):
    """What one image was taken for, and why."""

    label: str | None = Field(description="The best class; null if unknown.", examples=[LABEL])
    confidence: float = Field(description="The best class's probability.", examples=[0.93])
    unknown: bool = Field(description="True below `min_confidence`.", examples=[False])
    predictions: list[Prediction] = Field(description="`top_k` classes, best first.")
    neighbors: list[Neighbor] = Field(description="`explain` shots, the nearest first.")
    tail_bound: float = Field(
        description="The most that shots which the index did not look at could add to a logit; "
        "0 for an exact index.",
        examples=[0.0],
    )


class Classification(Verdict):
    """The answer to one image."""

    cache_version: int = Field(description="State of the cache that answered.", examples=[42])
    adapter: int | None = Field(description=ANSWERED_BY, examples=[3])
    model: str = Field(examples=[MODEL])
    request_id: str = Field(examples=[REQUEST_ID])


class Failure(BaseModel):
    """An image of a batch that has no answer."""

    error: ProblemDocument


class BatchClassification(BaseModel):
    """The answers to several images, in their order."""

    results: list[Verdict | Failure]
    cache_version: int = Field(examples=[42])
    adapter: int | None = Field(description=ANSWERED_BY, examples=[3])
    model: str = Field(examples=[MODEL])
    request_id: str = Field(examples=[REQUEST_ID])


class Added(BaseModel):
    """What was taught."""

    shot_ids: list[str] = Field(description="One an image, in their order.", examples=[[SHOT_ID]])
    created: list[bool] = Field(
        description="Whether the shot is new; false for one that was there.", examples=[[True]]
    )
    merged: list[bool] = Field(
        description="Whether the shot's key was averaged into another one's, since the class is "
        "full.",
        examples=[[False]],
    )
    label: str = Field(examples=[LABEL])
    shots_in_class: int = Field(examples=[4])
    cache_version: int = Field(description="Answers from this on reflect it.", examples=[43])
    request_id: str = Field(examples=[REQUEST_ID])


class Shot(BaseModel):
    """One labelled example."""

    shot_id: str = Field(examples=[SHOT_ID])
    label: str = Field(examples=[LABEL])
    caption: str | None = Field(examples=["a red truck"])
    created: datetime = Field(examples=[CREATED])
    sha256: str = Field(description="Of the bytes as they were sent.", examples=[SHA256])
    merged_into: str | None = Field(
        description="The shot whose key this one was averaged into, since the class is full.",
        examples=[None],
    )


class ShotChanged(Shot):
    """A shot after a change."""

    cache_version: int = Field(examples=[44])


class ShotPage(BaseModel):
    """A page of shots."""

    shots: list[Shot]
    next_cursor: str | None = Field(
        description="For the next page; null on the last.", examples=[None]
    )


class ClassInfo(BaseModel):
    """One class."""

    label: str = Field(examples=[LABEL])
    prompts: list[str] | None = Field(
        description="Its own; null: the templates with its label.",
        examples=[["a photo of a truck", "a lorry on a road"]],
    )
    shots: int = Field(examples=[4])
    created: datetime = Field(examples=[CREATED])


class ClassChanged(ClassInfo):
    """A class after a change."""

    cache_version: int = Field(examples=[44])


class ClassPage(BaseModel):
    """A page of classes."""

    classes: list[ClassInfo]
    next_cursor: str | None = Field(
        description="For the next page; null on the last.", examples=[None]
    )


class ShotDeleted(BaseModel):
    """A shot that was forgotten."""

    shot_id: str = Field(examples=[SHOT_ID])
    cache_version: int = Field(examples=[44])


class ClassDeleted(BaseModel):
    """A class that was forgotten, with its shots."""

    label: str = Field(examples=[LABEL])
    shots_deleted: int = Field(examples=[4])
    cache_version: int = Field(examples=[45])


class EncoderInfo(BaseModel):
    """The model that the features are of."""

    name: str = Field(examples=[MODEL])
    fingerprint: str = Field(
        description="Equal where features may be compared with each other.", examples=[SHA256]
    )
    width: int = Field(description="Numbers of an embedding.", examples=[512])
    notice: str | None = Field(description="What to know about this model.", examples=[None])


class AdapterInfo(BaseModel):
    """How answers are made."""

    method: str = Field(description="paper or full.", examples=["full"])
    fit: dict[str, Any] | None = Field(
        description="The numbers that were fitted to the shots; null before the first fit.",
        examples=[{"method": "full", "image_sharpness": 5.0, "image_weight": 0.4}],
    )
    number: int | None = Field(
        description="Of the trained adapter that serves; null for untrained networks.",
        examples=[3],
    )
    networks: str | None = Field(
        description="File of networks that was named instead of an adapter.", examples=[None]
    )


class AdapterTraining(BaseModel):
    """How an adapter came to be, as its training wrote it down."""

    created: datetime = Field(examples=[CREATED])
    model: str = Field(description="Whose features it was trained on.", examples=[MODEL])
    encoder: str = Field(description="That model's fingerprint.", examples=[SHA256])
    method: str = Field(description="The form that it was trained for.", examples=["full"])
    cache_version: int = Field(description="Of the cache, then.", examples=[40])
    shots: int = Field(description="That it was trained on.", examples=[192])
    classes: int = Field(examples=[12])
    seed: int = Field(examples=[0])
    settings: dict[str, Any] = Field(examples=[{"epochs": 20, "image_ratio": "learned"}])
    metrics: dict[str, float] = Field(examples=[{"loss": 0.31}])
    parameters: int = Field(description="How many numbers were trained.", examples=[131072])
    seconds: float = Field(examples=[12.4])
    accuracy: float = Field(
        description="Share of its shots that are right when left out.", examples=[0.86]
    )
    serving: int | None = Field(
        description="The adapter that served then; null for untrained networks.", examples=[2]
    )
    serving_accuracy: float = Field(description="That one's, on the same shots.", examples=[0.84])
    published: bool = Field(examples=[True])
    reason: str = Field(
        description="Why it was published.",
        examples=["86.0% of the shots are right when left out, with adapter 2 84.0%"],
    )


class AdapterState(BaseModel):
    """Which adapter serves."""

    number: int | None = Field(
        description="Null for untrained networks, and for those of a file that was named.",
        examples=[3],
    )
    method: str = Field(description="Of the answers: paper or full.", examples=["full"])
    sha256: str | None = Field(description="Of the file of networks.", examples=[SHA256])
    networks: str | None = Field(
        description="File that was named (`--networks`); published adapters wait, then.",
        examples=[None],
    )
    following: bool = Field(description="Whether what is published serves.", examples=[True])
    accuracy: float | None = Field(
        description="Of the numbers in use, by leave-one-out on the shots of `fitted_version`.",
        examples=[0.87],
    )
    fitted_version: int = Field(
        description="The cache's version whose shots the numbers were fitted to.", examples=[41]
    )
    training: AdapterTraining | None = Field(description="Null where there was none.")
    published: int | None = Field(description="The adapter that is to serve.", examples=[3])
    latest: int | None = Field(description="The newest, published or not.", examples=[4])
    error: str | None = Field(
        description="Why the adapter that was published does not serve; null where it does.",
        examples=[None],
    )


class CacheState(BaseModel):
    """What the cache holds, and what answers are made with."""

    classes: int = Field(examples=[12])
    shots: int = Field(examples=[192])
    version: int = Field(description="How many changes there have been.", examples=[42])
    fitted_version: int | None = Field(
        description="The version whose shots the numbers were fitted to.", examples=[41]
    )
    encoder: EncoderInfo
    adapter: AdapterInfo
    index: str = Field(description="Kind of the image index.", examples=["faiss-flat"])
    text_index: str = Field(description="Kind of the text index.", examples=["faiss-flat"])
    templates: list[str] = Field(examples=[["a photo of a {}."]])
    bytes: int = Field(description="On disk.", examples=[1_400_000])


class Health(BaseModel):
    """Alive, or ready."""

    status: str = Field(
        description="ok; or degraded: it answers, but not with the adapter that was published, "
        "see GET /adapter.",
        examples=["ok"],
    )


class Version(BaseModel):
    """What is running."""

    version: str = Field(examples=["0.1.0"])
    python: str = Field(examples=["3.11.7"])
    torch: str = Field(examples=["2.11.0"])
    model: str | None = Field(description="Null until it is loaded.", examples=[MODEL])
    notice: str | None = Field(description="What to know about this model.", examples=[None])
