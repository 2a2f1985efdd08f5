"""Results that are made up, for documents, tables and charts."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.performance.figures import Budget, Curve, Part, Point
from benchmarks.performance.results import Results
from benchmarks.performance.row import Row

FASTAPI = Row("HTTP: requests/s against plain FastAPI", "requests/s", "higher", "ratio >= 3")
INFINITY = Row("HTTP: requests/s against infinity", "requests/s", "higher", "ratio >= 1.2")
COSINE = Row("cosine", "cosine", "higher", "ours >= 0.9999")
IDLE = Row("idle", "ms", "lower", "difference <= 1.5")
SHOWN = Row("a | b", "ms", "lower")

ROWS = (
    FASTAPI.measured([300.0, 320.0, 310.0], [100.0, 100.0, 100.0]),
    INFINITY.not_run("run make bench-peers"),
    COSINE.measured([0.99988]),
    IDLE.measured([11.0], [10.0]),
    SHOWN.measured([0.01234], note="of one run"),
)
CURVES = (
    Curve("ours", "open", (Point(10, 10, 5, 9), Point(20, 19, 6, 20))),
    Curve("ours", "closed", (Point(64, 40, 50, 90),)),
)
BUDGETS = (
    Budget("one photograph", 10.0, (Part("decode", 2.0, 1.5, "libjpeg-turbo"), Part("encode", 6))),
)
MACHINE = {
    "processor": "Abacus 5",
    "cores": 2,
    "memory_gb": 23.6,
    "flags": ["avx512_bf16"],
    "gpus": [],
    "system": "Linux 6",
}
FACTS = {
    "machine": MACHINE,
    "versions": {"python": "3.11.7", "torch": "2.15.0"},
    "commit": "abc1234-dirty",
    "date": "2026-11-22",
    "photographs": "32 photographs",
    "seconds": {"pixels": 12.3},
}


def results(rows: Sequence[Row] = ROWS) -> Results:
    """As a run would leave them."""
    return Results(FACTS, [row.json() for row in rows], CURVES, BUDGETS)
