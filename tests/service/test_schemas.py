"""What the service answers, and that reading it needs nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from service.schemas import BatchClassification, Failure, Verdict


def test_a_batch_tells_verdicts_from_failures() -> None:
    verdict: dict[str, object] = {
        "label": None,
        "confidence": 0.1,
        "unknown": True,
        "predictions": [],
        "neighbors": [],
        "tail_bound": 0.0,
    }
    problem = {"type": "t", "title": "t", "status": 422, "detail": "d", "request_id": "r", "x": 1}
    batch = BatchClassification.model_validate(
        {
            "results": [verdict, {"error": problem}],
            "cache_version": 1,
            "adapter": None,
            "model": "m",
            "request_id": "r",
        }
    )
    first, second = batch.results
    assert isinstance(first, Verdict)
    assert isinstance(second, Failure)
    assert second.error.model_dump()["x"] == 1


@pytest.mark.parametrize("module", ["service.schemas", "service.client", "service.cli"])
def test_what_talks_to_a_service_needs_nothing_heavy(module: str) -> None:
    heavy = ("torch", "numpy", "fastapi", "uvicorn", "faiss", "PIL", "indexer")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
