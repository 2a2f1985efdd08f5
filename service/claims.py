"""Idempotency keys of requests under way: one request at a time, until its answer is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.errors import Problem


class Claims:
    """The keys under way. For the event loop alone, so it needs no lock."""

    def __init__(self) -> None:
        self._held: set[str] = set()

    def __len__(self) -> int:
        return len(self._held)

    @contextmanager
    def held(self, key: str | None, answered: Callable[[str], bool]) -> Iterator[None]:
        """Keep a key to one request; without one there is nothing to keep.

        Args:
            key: of the request.
            answered: whether a key has its answer: then any number may ask for that at once.

        Raises:
            Problem: request-in-progress.
        """
        if key is None:
            yield
            return
        if key in self._held and not answered(key):
            raise Problem(
                "request-in-progress",
                "a request with this idempotency key is under way: ask again for its answer",
                headers={"Retry-After": "1"},
            )
        self._held.add(key)
        try:
            yield
        finally:
            self._held.discard(key)
