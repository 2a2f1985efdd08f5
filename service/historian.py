"""Comparing versions of the cache beside everything else that is asked of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from indexer.paging import cursor_position
from indexer.reader import Reader
from indexer.records import Difference, Page


@dataclass(frozen=True)
class Comparison:
    """What differs between two versions: all of it, and how much of each kind."""

    differences: Sequence[Difference]
    counts: Mapping[str, int]


class Historian:
    """Has a thread and a connection of its own, so that no answer waits for a comparison.

    What two versions held never changes, so the last comparison serves those who read it page by
    page, whatever happens to the cache meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        """Of the cache in a folder."""
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "xmadapter-history")
        self._last: tuple[tuple[int, int], Comparison] | None = None

    def close(self) -> None:
        """Finish what is under way, and drop what waits."""
        self._thread.shutdown(cancel_futures=True)

    async def page(
        self, before: int, after: int, limit: int, cursor: str | None
    ) -> tuple[Mapping[str, int], Page[Difference]]:
        """How much differs of each kind, and one page of it.

        Raises:
            UnknownVersion: there is no such version, or its history was compacted.
            CursorError: not a cursor of this list.
            CacheError: the cache cannot be read.
        """
        start = max(cursor_position(cursor), 0)
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._thread, self._compare, before, after)
        items, end = found.differences[start : start + limit], start + limit
        more = end < len(found.differences)
        return found.counts, Page(tuple(items), str(end) if more else None)

    def _compare(self, before: int, after: int) -> Comparison:
        with contextlib.closing(Reader(self._folder)) as reader:
            if self._last is not None and self._last[0] == (before, after):
                for version in (before, after):
                    reader.check_version(version)
                return self._last[1]
            differences = reader.differences(before, after)
        counts = Counter(each.what for each in differences)
        found = Comparison(differences, dict(sorted(counts.items())))
        self._last = (before, after), found
        return found
