"""Everything that the cache and its sources raise on purpose.

CacheError
├── CacheMissing         no cache at this path
├── CacheMismatch        made with another model, other templates, or a newer program
├── CacheDamaged         the file is not, or no longer, a readable cache
├── ArchiveError         not an exported cache, or not as it was written
├── CacheBusy            another process has been writing for too long
├── CacheUnwritable      disk read-only, or an error of the device
│   └── CacheFull        disk full
├── EmptyCache           no class yet: nothing to classify with
├── LabelError           not a label (a ValueError)
├── PromptError          not a list of prompts (a ValueError)
├── FeatureError         not a feature of this cache's width (a ValueError)
├── CursorError          not a cursor of this list (a ValueError)
├── UnknownShot          (a LookupError)
├── UnknownClass         (a LookupError)
├── UnknownVersion       never was, or its history was compacted (a LookupError)
├── ClassFull            as many shots as a class may have
├── LabelConflict        the same image under another label
└── IdempotencyConflict  a key used again for another request
SourceError              no images there, or a list of them that cannot be read (adapter.datasets)
└── BadImages            one image cannot be used, and the build is strict
IndexUnavailable         this kind of index cannot be had on this machine (a RuntimeError)
"""

# Each name says what happened; the family is CacheError and SourceError.
# ruff: noqa: N818

from __future__ import annotations

import difflib
from collections.abc import Iterable

from adapter.datasets.errors import SourceError as SourceError


class CacheError(Exception):
    """Anything wrong with a cache, or asked of one in vain."""


class CacheMissing(CacheError):
    """There is no cache at this path."""


class CacheMismatch(CacheError):
    """The cache's keys cannot be compared with what this program would make."""


class CacheDamaged(CacheError):
    """The cache's file is truncated, overwritten, or was never a cache."""


class ArchiveError(CacheError):
    """A file is not a cache that was exported, or not as it was written. Nothing was imported."""


class CacheBusy(CacheError):
    """Another process has been writing for longer than one waits."""


class CacheUnwritable(CacheError):
    """The disk refused: read-only, or failing. Nothing was acknowledged."""


class CacheFull(CacheUnwritable):
    """The disk has no room. Nothing was acknowledged, and nothing was lost."""


class EmptyCache(CacheError):
    """The cache has no class yet."""


class LabelError(CacheError, ValueError):
    """Not a label: 1 to 256 characters, not blank, without control characters."""


class PromptError(CacheError, ValueError):
    """Not a list of prompts."""


class FeatureError(CacheError, ValueError):
    """Not a finite feature of the cache's width."""


class CursorError(CacheError, ValueError):
    """Not a cursor that this list gave."""


class UnknownShot(CacheError, LookupError):
    """No shot has this id.

    Attributes:
        shot_id: the id that was asked for.
    """

    def __init__(self, shot_id: str) -> None:
        self.shot_id = shot_id
        super().__init__(f"no shot has the id {shot_id!r}: it was forgotten, or never was")


class UnknownClass(CacheError, LookupError):
    """No class has this label.

    Attributes:
        label: the label that was asked for.
        suggestions: the closest labels that there are, best first.
    """

    def __init__(self, label: str, known: Iterable[str] = ()) -> None:
        self.label = label
        self.suggestions = tuple(difflib.get_close_matches(label, list(known), n=3))
        hint = f"; did you mean {', '.join(map(repr, self.suggestions))}?" * bool(self.suggestions)
        super().__init__(f"no class has the label {label!r}{hint}")


class UnknownVersion(CacheError, LookupError):
    """There is no such version to go back to, or to compare with.

    Attributes:
        version: that was asked for.
        oldest, newest: those that there are.
    """

    def __init__(self, version: int, oldest: int, newest: int) -> None:
        self.version, self.oldest, self.newest = version, oldest, newest
        super().__init__(f"expected a version from {oldest} to {newest}, got {version}")


class ClassFull(CacheError):
    """A class has as many shots as it may have, and is not to merge more.

    Attributes:
        label: of the class.
        most: shots that it may have.
    """

    def __init__(self, label: str, most: int) -> None:
        self.label, self.most = label, most
        super().__init__(
            f"the class {label!r} has {most} shots, and may have no more: forget some, or let "
            "the service merge further ones into those that there are"
        )


class LabelConflict(CacheError):
    """The same bytes are already a shot of another class.

    Attributes:
        shot_id: the shot that there is.
        label: its label.
        wanted: the label that was given now.
    """

    def __init__(self, shot_id: str, label: str, wanted: str) -> None:
        self.shot_id, self.label, self.wanted = shot_id, label, wanted
        super().__init__(
            f"this image is already shot {shot_id} with the label {label!r}, got {wanted!r}: "
            "ask for relabelling to move it"
        )


class IdempotencyConflict(CacheError):
    """An idempotency key came again with another request."""


class BadImages(SourceError):
    """An image of the source cannot be used, and the build was told to stop at the first.

    Attributes:
        name: where the image is.
        reason: what is wrong with it.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"{name}: {reason}")


class IndexUnavailable(RuntimeError):
    """This kind of index cannot be had on this machine."""
