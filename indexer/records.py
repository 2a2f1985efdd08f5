"""What the store gives and takes: small values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Ints = NDArray[np.int64]

Item = TypeVar("Item")


@dataclass(frozen=True)
class Origin:
    """What a cache's features were made with; another origin makes them incomparable.

    Attributes:
        model: the encoder's name, as shown to people.
        fingerprint: of the encoder.
        width: D.
        preprocessing: the encoder's, as JSON.
        templates: the prompts of classes that have none of their own, with `{}` for the label.
    """

    model: str
    fingerprint: str
    width: int
    preprocessing: str
    templates: tuple[str, ...]


@dataclass(frozen=True)
class ShotInfo:
    """One shot, as shown to people. `merged_into` is the shot whose key it shares, if it does."""

    shot_id: str
    label: str
    caption: str | None
    created: datetime
    sha256: str
    merged_into: str | None


@dataclass(frozen=True)
class ClassInfo:
    """One class, as shown to people. `prompts` is None where the cache's templates serve."""

    label: str
    prompts: tuple[str, ...] | None
    shots: int
    created: datetime


@dataclass(frozen=True)
class Page(Generic[Item]):
    """A part of a list; `next_cursor` asks for the part after it, None at the end."""

    items: tuple[Item, ...]
    next_cursor: str | None


@dataclass(frozen=True)
class ClassRow:
    """One class as stored: its own number, label, prompts and unit text feature (D,)."""

    id: int
    label: str
    prompts: tuple[str, ...] | None
    feature: Floats


@dataclass(frozen=True)
class ShotRows:
    """Keys as stored, oldest first: one a shot, or one for all shots that were merged.

    Attributes:
        ids: N shot ids; of merged shots the oldest one's.
        class_ids: (N,) of `ClassRow.id`.
        text_ids: (N,) of a stored caption, -1 for a shot without one.
        keys: (N, D) unit rows.
    """

    ids: list[str]
    class_ids: Ints
    text_ids: Ints
    keys: Floats


@dataclass(frozen=True)
class Rows:
    """All that keys are made of, at one version.

    Attributes:
        version: of the store.
        classes: oldest first.
        shots: oldest first.
        captions: caption number -> unit feature (D,).
    """

    version: int
    classes: list[ClassRow]
    shots: ShotRows
    captions: dict[int, Floats]


@dataclass(frozen=True)
class Delta:
    """What to do to the rows of an earlier version to have those of this one, in this order.

    Attributes:
        version: this one.
        shots_gone: keys to remove, as they were.
        classes_gone: labels to remove.
        classes: that are new, or have other prompts.
        shots: keys to add.
        captions: of these, caption number -> unit feature (D,).
    """

    version: int
    shots_gone: ShotRows
    classes_gone: list[str]
    classes: list[ClassRow]
    shots: ShotRows
    captions: dict[int, Floats]


@dataclass(frozen=True)
class VersionInfo:
    """One change of a cache.

    Attributes:
        version: that it made.
        created: when.
        action: "create", "add", "relabel", "forget", "put_class", "delete_class", "rollback", or
            "migrate": an older program's cache, which had no history.
        subject: the label, shot id or version that it was about.
        caller: name of the API key that asked for it; None without keys.
        classes, shots: how many there were then.
    """

    version: int
    created: datetime
    action: str
    subject: str | None
    caller: str | None
    classes: int
    shots: int


@dataclass(frozen=True)
class Difference:
    """One thing that differs between two versions.

    Attributes:
        what: "class_added", "class_removed", "class_changed", "shot_added", "shot_removed",
            "shot_relabelled", or "shot_merged" (its key is shared with other shots than before).
        label: of the class, or of the shot's class in the later version, or else in the earlier.
        shot_id: None for a class.
        previous_label: of a shot that was relabelled, its class in the earlier version.
    """

    what: str
    label: str
    shot_id: str | None = None
    previous_label: str | None = None


@dataclass(frozen=True)
class StoredShot:
    """A shot to be written.

    Attributes:
        sha256: of the image's bytes, in hex; what makes a duplicate.
        key: (D,) unit.
        caption: its own text, if it has one.
        views: (v, D), the features that the key is the mean of.
        thumbnail: WebP bytes.
    """

    sha256: str
    key: Floats
    caption: str | None = None
    views: Halves | None = None
    thumbnail: bytes | None = None


@dataclass(frozen=True)
class Placed:
    """What became of one shot of an `add`.

    Attributes:
        shot_id: the new shot's id, or the existing one's.
        created: whether it is new.
        merged: whether its key was merged into another's, since its class is full.
    """

    shot_id: str
    created: bool
    merged: bool


@dataclass(frozen=True)
class StoredAdd:
    """What an `add` did: each shot in order, the class's shots now, the version."""

    placed: tuple[Placed, ...]
    shots_in_class: int
    version: int


@dataclass(frozen=True)
class Cap:
    """How many keys a class may have, and what becomes of a shot that would be one more."""

    most: int
    beyond: Literal["merge", "refuse"]


@dataclass(frozen=True)
class Request:
    """An idempotency key.

    Attributes:
        key: with whatever keeps callers apart.
        fingerprint: of all that was asked under it.
        kept: seconds for which the answer is kept.
    """

    key: str
    fingerprint: str
    kept: float = 24 * 3600.0


@dataclass(frozen=True)
class Reply:
    """What was answered: status, and body as sent."""

    status: int
    body: bytes


@dataclass(frozen=True)
class DerivedFile:
    """A derived file beside the store: the cache's version, its shots then, the file's sha256."""

    version: int
    shots: int
    sha256: str
