"""Labelled images from where people keep them.

A folder per class, a CSV or JSONL list of path, label and optional caption, one of CoOp's split
files (`split_zhou_*.json`), or a zip of any of these, which is read in place.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from adapter.images import ImageLimits
from indexer.errors import SourceError
from indexer.trees import FolderTree, Tree, ZipTree

DEFAULT_SPLIT = "train"
_SPLITS = {"train", "val", "valid", "validation", "test"}
# Also those that are refused later: an image that was left out in silence would be missed.
_IMAGES = {"jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "heic", "avif"}
_LARGEST_LIST = 2**30


@dataclass(frozen=True)
class Sample:
    """One labelled image of a source.

    Attributes:
        read: its bytes; one more than allowed where there are more. Raises OSError.
        name: where it is, for people.
        label: as the source has it: it may be no valid label.
        caption: its own text, if it has one.
    """

    read: Callable[[], bytes]
    name: str
    label: str
    caption: str | None = None


def read_source(
    path: Path, *, split: str | None = None, max_bytes: int = ImageLimits().max_bytes
) -> list[Sample]:
    """List the labelled images of a source, without reading them.

    Args:
        path: a folder, a `.csv`, `.jsonl` or `.json` list, or a `.zip`.
        split: which part, where the source names its parts (train, val, test); "train" unless
            there is but one.
        max_bytes: of an image; reading one stops right after.

    Raises:
        SourceError: no such path, no images in it, or a list that cannot be read.
    """
    if path.is_dir():
        samples = _from_tree(FolderTree(path), split, max_bytes)
    elif not path.is_file():
        raise SourceError(f"no such file or folder: {path}")
    elif path.suffix.lower() in _LISTS:
        samples = _from_list(FolderTree(path.parent), path.name, split, max_bytes)
    elif path.suffix.lower() == ".zip":
        samples = _from_tree(ZipTree(path), split, max_bytes)
    else:
        raise SourceError(f"expected a folder, a zip, or a list ({', '.join(_LISTS)}), got {path}")
    if not samples:
        raise SourceError(
            f"{path} holds no images: expected files like class/photo.jpg (JPEG, PNG or WebP), "
            "or a list of path and label"
        )
    return samples


def _from_tree(tree: Tree, split: str | None, max_bytes: int) -> list[Sample]:
    names = tree.names()
    lists = _lists_at_the_top(tree, names)
    if len(lists) > 1:
        raise SourceError(f"expected one list of images, got {', '.join(map(tree.shown, lists))}")
    if lists:
        return _from_list(tree, lists[0], split, max_bytes)
    images = [name for name in names if _suffix(name) in _IMAGES]
    return [
        Sample(partial(_read_image, tree, name, label, max_bytes), tree.shown(name), label)
        for name, label in _labelled(images, split)
    ]


def _read_image(tree: Tree, name: str, label: str, max_bytes: int) -> bytes:
    if not label:
        raise OSError("lies in no class folder: expected class/photo.jpg")
    return tree.read(name, max_bytes + 1)


def _labelled(images: Sequence[str], split: str | None) -> Iterator[tuple[str, str]]:
    """Each image with the name of its class folder, empty where it is in none.

    The class folder is the outermost one, but for one folder around all of them, and for folders
    that are named as parts of a data set, of which one is taken.
    """
    within = [tuple(name.split("/")) for name in images]
    loose: list[tuple[str, ...]] = []
    depth = 0
    while True:
        loose += [parts for parts in within if len(parts) == depth + 1]
        within = [parts for parts in within if len(parts) > depth + 1]
        outer = {parts[depth] for parts in within}
        # An image right in such a folder makes it a class.
        if not within or any(len(parts) == depth + 2 for parts in within):
            break
        if outer <= _SPLITS:
            chosen = _choose_split(outer, split)
            within = [parts for parts in within if parts[depth] == chosen]
        elif len(outer) > 1:
            break
        depth += 1
    for parts in within:
        yield "/".join(parts), "" if ".." in parts else parts[depth]
    for parts in loose:
        yield "/".join(parts), ""


def _choose_split(present: set[str], split: str | None) -> str:
    chosen = split or (DEFAULT_SPLIT if len(present) > 1 else next(iter(present)))
    if chosen not in present:
        raise SourceError(f"expected a split that is there ({sorted(present)}), got {chosen!r}")
    return chosen


def _lists_at_the_top(tree: Tree, names: Sequence[str]) -> list[str]:
    """The lists beside or above all other files: one deep inside is none of the source's."""
    folders = [name.split("/")[:-1] for name in names]
    # What the first and the last in order begin with, all begin with.
    low, high = min(folders, default=[]), max(folders, default=[])
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False))
    top = [part for part, _ in shared]
    return [
        name for name in names if name.split("/")[:-1] == top and _looks_like_a_list(tree, name)
    ]


def _looks_like_a_list(tree: Tree, name: str) -> bool:
    suffix = _suffix(name)
    if suffix == "json":
        return posixpath.basename(name).startswith("split_")
    if suffix == "csv":
        header = tree.read(name, 4096).decode("utf-8-sig", "replace").splitlines()[:1]
        return {"path", "label"} <= set(next(csv.reader(header), []))
    return suffix == "jsonl"


@dataclass(frozen=True)
class _Entry:
    path: str
    label: str
    caption: str | None = None


def _from_list(tree: Tree, name: str, split: str | None, max_bytes: int) -> list[Sample]:
    """Samples of a list. Its paths are relative to the folder that the list is in."""
    try:
        data = tree.read(name, _LARGEST_LIST)
        entries = list(_LISTS[f".{_suffix(name)}"](data.decode("utf-8-sig"), split))
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise SourceError(f"cannot read the list {tree.shown(name)}: {error}") from error
    folder = posixpath.dirname(name)
    if _suffix(name) == "json":
        folder = _image_folder(tree, folder, entries)
    paths = [posixpath.join(folder, entry.path) for entry in entries]
    return [
        Sample(
            partial(tree.read, path, max_bytes + 1), tree.shown(path), entry.label, entry.caption
        )
        for path, entry in zip(paths, entries, strict=True)
    ]


def _csv_entries(text: str, split: str | None) -> Iterator[_Entry]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    columns = rows.fieldnames or []
    if not {"path", "label"} <= set(columns):
        raise ValueError(f"expected columns path, label and perhaps caption, got {list(columns)}")
    for row in rows:
        yield _entry(row, f"line {rows.line_num}")


def _jsonl_entries(text: str, split: str | None) -> Iterator[_Entry]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}: {error.msg} at column {error.colno}") from error
        yield _entry(row, f"line {number}")


def _split_entries(text: str, split: str | None) -> Iterator[_Entry]:
    parts = json.loads(text)
    split = split or DEFAULT_SPLIT
    if not isinstance(parts, dict) or not isinstance(parts.get(split), list):
        got = sorted(parts) if isinstance(parts, dict) else type(parts).__name__
        raise ValueError(f"expected an object with a list {split!r}, got {got}")
    for number, row in enumerate(parts[split]):
        if not (isinstance(row, list) and len(row) == 3):
            raise ValueError(f"expected [path, number, name] as {split}[{number}], got {row!r}")
        yield _entry({"path": row[0], "label": row[2]}, f"{split}[{number}]")


def _entry(row: Any, place: str) -> _Entry:
    if not isinstance(row, dict):
        raise ValueError(f"{place}: expected an object with path and label, got {row!r}")
    path, label, caption = row.get("path"), row.get("label"), row.get("caption") or None
    if not (isinstance(path, str) and path and isinstance(label, str)):
        raise ValueError(f"{place}: expected texts path and label, got {path!r} and {label!r}")
    if caption is not None and not isinstance(caption, str):
        raise ValueError(f"{place}: expected a text as caption, got {caption!r}")
    return _Entry(path, label, caption)


_LISTS: dict[str, Callable[[str, str | None], Iterable[_Entry]]] = {
    ".csv": _csv_entries,
    ".jsonl": _jsonl_entries,
    ".json": _split_entries,
}


def _image_folder(tree: Tree, folder: str, entries: Sequence[_Entry]) -> str:
    """Where a CoOp split's paths begin: in the list's folder, or in one below of any name."""
    names = tree.names()
    present = set(names)
    for entry in entries[:20]:
        if posixpath.join(folder, entry.path) in present:
            return folder
        ending = f"/{entry.path}"
        above = [name[: -len(ending)] for name in names if name.endswith(ending)]
        if above:
            return min(above, key=lambda each: (each.count("/"), each))
    return folder


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower().removeprefix(".")
