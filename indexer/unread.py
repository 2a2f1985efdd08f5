"""What is checked of a store when it is opened, since no later reading would miss it."""

from __future__ import annotations

from indexer.change import SLOT_BITS
from indexer.checksums import checksum
from indexer.database import damaged
from indexer.state import OF_REQUEST, Source

MOST_NUMBERS = 2**SLOT_BITS - 1
"""Of shots, texts or classes that a cache may ever have."""


def check_answers(source: Source, version: int) -> None:
    """Look at all answers under idempotency keys of a store that is at `version`.

    By a damaged key, or a damaged time, an answer would not be found. And a log that was cut short
    may have taken back a change, and not the answer that tells of it.

    Raises:
        CacheDamaged: one is not as it was written.
    """
    rows = source.connection.execute(f"SELECT {OF_REQUEST} FROM requests")
    for *fields, told, expected in rows:
        if checksum(*fields, told) != expected or told > version:
            raise damaged(source.path, "an answer under an idempotency key is not as written")


def check_numbers(source: Source) -> None:
    """Look at where SQLite goes on to count shots, texts and classes, wherever that is.

    Raises:
        CacheDamaged: a store never counts as far.
    """
    wrong = "typeof(seq) <> 'integer' OR seq NOT BETWEEN 0 AND ?"
    query = f"SELECT count(*) FROM sqlite_sequence WHERE {wrong}"
    if source.connection.execute(query, (MOST_NUMBERS,)).fetchone()[0]:
        raise damaged(source.path, "its next numbers of shots, texts or classes are none")
