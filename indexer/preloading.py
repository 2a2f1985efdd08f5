"""A cache's rows, read and checked while what is to use them is still being imported.

Needs no torch: with 100,000 shots it takes as long as importing that does.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from indexer.reader import FILE, Reader
from indexer.records import Rows


def preloading(folder: Path) -> Future[Rows] | None:
    """Begin to read the cache in `folder`; None where there is none.

    The rows, or CacheError where it is not as it was written, come with the future.
    """
    if not (folder / FILE).exists():
        return None
    pool = ThreadPoolExecutor(1, "xmadapter-preload")
    reading = pool.submit(_checked_rows, folder)
    pool.shutdown(wait=False)
    return reading


def _checked_rows(folder: Path) -> Rows:
    with contextlib.closing(Reader(folder)) as reader:
        reader.check()
        return reader.rows()
