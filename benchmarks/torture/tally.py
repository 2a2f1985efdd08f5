"""Checks of many threads, counted."""

from __future__ import annotations

import threading

SHOWN = 3


class Tally:
    """Counts checks; remembers what the first ones that failed said."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._right = 0
        self._reasons: list[str] = []

    def check(self, right: bool, otherwise: str) -> None:
        """Count one check; `otherwise` says what was expected and what came, should it fail."""
        with self._lock:
            if right:
                self._right += 1
            else:
                self._reasons.append(otherwise)

    @property
    def right(self) -> int:
        """Checks that held."""
        return self._right

    @property
    def wrong(self) -> int:
        """Checks that did not."""
        return len(self._reasons)

    def figure(self) -> str:
        """ "9 of 10", and why not the tenth."""
        said = f"{self.right:,} of {self.right + self.wrong:,}"
        return "; ".join([said, *self._reasons[:SHOWN]])
