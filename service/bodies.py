"""The images, embeddings, labels and captions that a request carries, however it carries them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import Problem, shown
from service.forms import Part
from service.inputs import (
    MAX_ADD_IMAGES,
    MAX_BATCH_IMAGES,
    MAX_CAPTION,
    AddBody,
    BatchBody,
    ClassifyBody,
)
from service.streaming import JSON, Reader

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")
MULTIPART = "multipart/form-data"
# Room for the boundaries and headers of a form, or the names and quotes of JSON.
OVERHEAD = 64 * 2**10

Given = bytes | list[float] | Problem
"""One image's bytes as they came, its embedding, or what is wrong with it."""


@dataclass(frozen=True)
class Lesson:
    """What is to be taught: a label, images, and a caption for each or None."""

    label: str
    images: list[Given]
    captions: list[str | None]


async def read_image(reader: Reader) -> Given:
    """The one image of a /classify request.

    Raises:
        Problem: for a body that is not what the contract says; likewise below.
    """
    kind = reader.content_type(*IMAGE_TYPES, MULTIPART, JSON)
    if kind in IMAGE_TYPES:
        return await reader.content(reader.max_image, "image-too-large")
    if kind == MULTIPART:
        parts = await reader.form({"image": 1}, reader.max_image + OVERHEAD)
        if not parts:
            raise Problem("invalid", "form field image: it is required, and was not given")
        return _from_part(parts[0], reader.max_image)
    limit = max(reader.max_image * 4 // 3, 2**20) + OVERHEAD
    body = await reader.json(ClassifyBody, limit)
    if body.embedding is not None and body.image is None:
        return body.embedding
    if body.image is None or body.embedding is not None:
        raise Problem("invalid", f"expected one of image and embedding, {_got(body)}")
    text = body.image
    return await reader.threaded(lambda: _from_base64(text))


async def read_images(reader: Reader) -> list[Given]:
    """The images of a /classify/batch request, in their order."""
    if reader.content_type(MULTIPART, JSON) == MULTIPART:
        parts = await reader.form({"image": MAX_BATCH_IMAGES}, reader.max_request)
        images = [_from_part(part, reader.max_image) for part in parts]
    else:
        images = await _from_json(reader, await reader.json(BatchBody, reader.max_request))
    return _counted(images, MAX_BATCH_IMAGES)


async def read_lesson(reader: Reader) -> Lesson:
    """The label, images and captions of a /cache/add request."""
    if reader.content_type(MULTIPART, JSON) == MULTIPART:
        fields = {"label": 1, "image": MAX_ADD_IMAGES, "caption": MAX_ADD_IMAGES}
        parts = await reader.form(fields, reader.max_request)
        labels = [part.text() for part in parts if part.name == "label"]
        if not labels:
            raise Problem("invalid", "form field label: it is required, and was not given")
        images = [_from_part(part, reader.max_image) for part in parts if part.name == "image"]
        captions: list[str | None] = [part.text() for part in parts if part.name == "caption"]
        return _lesson(labels[0], images, captions)
    body = await reader.json(AddBody, reader.max_request)
    return _lesson(body.label, await _from_json(reader, body), list(body.captions or ()))


async def _from_json(reader: Reader, body: BatchBody | AddBody) -> list[Given]:
    if body.embeddings is not None and body.images is None:
        return list(body.embeddings)
    if body.images is None or body.embeddings is not None:
        raise Problem("invalid", f"expected one of images and embeddings, {_got(body)}")
    texts = body.images
    return await reader.threaded(lambda: [_from_base64(text) for text in texts])


def _from_part(part: Part, limit: int) -> Given:
    if part.oversized:
        return Problem("image-too-large", f"expected at most {limit} bytes, got {part.size}")
    return bytes(part.data)


def _from_base64(text: str) -> Given:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        hint = "leave out what stands before the comma" if text.startswith("data:") else str(error)
        return Problem(
            "malformed",
            f"expected base64 on one line (base64 -w0 FILE), got {shown(text[:60])}: {hint}",
        )


def _got(body: ClassifyBody | BatchBody | AddBody) -> str:
    both = len(body.model_fields_set & {"image", "embedding", "images", "embeddings"}) == 2
    return "got both" if both else "got neither"


def _counted(images: list[Given], most: int) -> list[Given]:
    if not 1 <= len(images) <= most:
        raise Problem("invalid", f"expected 1 to {most} images, got {len(images)}")
    return images


def _lesson(label: str, images: list[Given], captions: Sequence[str | None]) -> Lesson:
    _counted(images, MAX_ADD_IMAGES)
    if captions and len(captions) != len(images):
        raise Problem(
            "invalid",
            f"expected no captions or one for each of the {len(images)} images "
            f"(an empty one for an image without), got {len(captions)}",
        )
    for caption in captions:
        if caption is not None and len(caption) > MAX_CAPTION:
            raise Problem(
                "invalid",
                f"caption: expected at most {MAX_CAPTION} characters, got {len(caption)}",
            )
    named = [caption if caption and caption.strip() else None for caption in captions]
    return Lesson(label, images, named or [None] * len(images))
