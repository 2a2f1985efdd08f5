"""What a long run found: one row for each goal."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"


@dataclass(frozen=True)
class Row:
    """One goal and what was measured.

    Attributes:
        name: of what was done.
        figure: what was measured, for a person.
        goal: what it is held to.
        reached: whether it was.
        seconds: that it took.
    """

    name: str
    figure: str
    goal: str
    reached: bool
    seconds: float

    def line(self) -> str:
        """The row for a terminal."""
        verdict = "reached" if self.reached else "NOT REACHED"
        return f"{self.name}: {self.figure} (goal: {self.goal}; {verdict}; {self.seconds:.0f} s)"


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Until now."""
        return time.monotonic() - self._began


def write(case: str, effort: float, rows: Sequence[Row], folder: Path = RESULTS) -> Path:
    """Keep the rows of a case as torture-CASE.json; the file's path."""
    path = folder / f"torture-{case}.json"
    document = {
        "case": case,
        "effort": effort,
        "machine": machine(),
        "rows": [{**asdict(row), "seconds": round(row.seconds, 1)} for row in rows],
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def machine() -> Mapping[str, object]:
    """Where and when it ran, and which program it was."""
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
    }


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=RESULTS, check=False)
    return found.stdout.strip() or "unknown"
