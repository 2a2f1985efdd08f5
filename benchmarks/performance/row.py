"""One thing measured: ours against theirs, held to a goal."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

Better = Literal["higher", "lower"]

FEW = 10
"""Of fewer runs than these the spread is the smallest to the largest, not percentiles."""

_GOAL = re.compile(r"(ratio|ours|difference) (>=|<=) ([0-9]*\.?[0-9]+)")


class RowJson(TypedDict):
    """A row as results files have it; what was not run has no figures and says why in `note`."""

    name: str
    ours: float | None
    theirs: float | None
    unit: str
    ratio: float | None
    goal: str | None
    reached: bool | None
    spread: list[float] | None
    runs: int
    note: str


@dataclass(frozen=True)
class Row:
    """What is measured, with its runs once it has been.

    Attributes:
        name: of what is measured; unique.
        unit: of `ours` and `theirs`.
        better: whether more of the unit is better, or less.
        goal: "SUBJECT >= LIMIT" or "SUBJECT <= LIMIT", where the subject is `ratio`, `ours` or
            `difference` (ours less theirs); None where it is shown without a goal.
        ours: the runs of ours, in the unit; empty where it was not run.
        theirs: what it is compared with, run by run where it has as many runs; may be empty.
        note: what a reader should know; the reason, where it was not run.

    Raises:
        ValueError: the goal reads otherwise.
    """

    name: str
    unit: str
    better: Better
    goal: str | None = None
    ours: tuple[float, ...] = ()
    theirs: tuple[float, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if self.goal is not None and not _GOAL.fullmatch(self.goal):
            raise ValueError(
                f"expected a goal such as 'ratio >= 3' or 'ours <= 0.5', got {self.goal!r}"
            )

    def measured(self, ours: Sequence[float], theirs: Sequence[float] = (), note: str = "") -> Row:
        """This row with its runs.

        Raises:
            ValueError: there is no run of ours.
        """
        if not ours:
            raise ValueError(f"expected at least one run of {self.name!r}, got none")
        return replace(self, ours=tuple(ours), theirs=tuple(theirs), note=note or self.note)

    def not_run(self, reason: str) -> Row:
        """This row without runs, and why."""
        return replace(self, ours=(), theirs=(), note=f"not run: {reason}")

    @property
    def ratio(self) -> float | None:
        """How many times as good as theirs; under a goal "ratio <= ...", ours over theirs.

        The median of the runs' own ratios where they come in pairs, so that what slows a whole
        run down does not count for either side.
        """
        return _median(self._ratios)

    @property
    def reached(self) -> bool | None:
        """Whether the goal was reached; None without a goal or a run."""
        if self.goal is None or not self.ours:
            return None
        subject, relation, limit = _parts(self.goal)
        value = _median(self._values(subject))
        if value is None:
            return None
        return value >= limit if relation == ">=" else value <= limit

    @property
    def spread(self) -> tuple[float, float] | None:
        """10th to 90th percentile, or smallest to largest of few, over the runs.

        Of the goal's subject; without a goal of the ratio, or of ours where there is none. None
        of a single run.
        """
        subject = _parts(self.goal)[0] if self.goal else "ratio"
        values = sorted(self._values(subject) or self.ours)
        if len(values) < 2:
            return None
        if len(values) < FEW:
            return values[0], values[-1]
        tenths = statistics.quantiles(values, n=10, method="inclusive")
        return tenths[0], tenths[-1]

    def json(self) -> RowJson:
        """The row as results files have it."""
        return {
            "name": self.name,
            "ours": _rounded(_median(self.ours)),
            "theirs": _rounded(_median(self.theirs)),
            "unit": self.unit,
            "ratio": _rounded(self.ratio),
            "goal": self.goal,
            "reached": self.reached,
            "spread": None if self.spread is None else [_round(end) for end in self.spread],
            "runs": len(self.ours),
            "note": self.note,
        }

    def _values(self, subject: str) -> Sequence[float]:
        if subject == "ours":
            return self.ours
        return self._ratios if subject == "ratio" else self._differences

    @property
    def _pairs(self) -> list[tuple[float, float]]:
        """Ours and theirs, run by run; the medians alone where runs do not pair up."""
        if len(self.ours) == len(self.theirs):
            return list(zip(self.ours, self.theirs, strict=True))
        ours, theirs = _median(self.ours), _median(self.theirs)
        return [] if ours is None or theirs is None else [(ours, theirs)]

    @property
    def _ratios(self) -> list[float]:
        share = self.goal is not None and self.goal.startswith("ratio <=")
        if share or self.better == "higher":
            return [ours / theirs for ours, theirs in self._pairs if theirs]
        return [theirs / ours for ours, theirs in self._pairs if ours]

    @property
    def _differences(self) -> list[float]:
        return [ours - theirs for ours, theirs in self._pairs]


def _parts(goal: str) -> tuple[str, str, float]:
    subject, relation, limit = goal.split()
    return subject, relation, float(limit)


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else _round(value)


def _round(value: float) -> float:
    """Six significant digits: more than any clock here has."""
    return float(f"{value:.6g}")
