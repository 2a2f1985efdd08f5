"""Lists in parts: cursors say after which place the next part begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from indexer.errors import CursorError
from indexer.records import Page

Item = TypeVar("Item")


def cursor_position(cursor: str | None) -> int:
    """The place after which a page begins; -1 for the first. Raises CursorError."""
    if cursor is None:
        return -1
    # `isdigit` also takes digits of other scripts; SQLite's integers end at 2^63.
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise CursorError(f"expected a cursor from an earlier page's next_cursor, got {cursor!r}")
    return int(cursor)


def page_of(rows: list[Any], limit: int, info: Callable[[Any], Item]) -> Page[Item]:
    """A page of rows whose first column is what a cursor tells.

    Args:
        rows: one more than `limit` of them where there is a next page.
        limit: most rows of a page.
        info: what people are shown of a row.
    """
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(tuple(map(info, rows)), str(rows[-1][0]) if more else None)
