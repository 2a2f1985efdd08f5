"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real photographs, beside the checkout or at XM_TEST_DATA."""
    path = Path(os.environ.get("XM_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no photographs at {path}: set XM_TEST_DATA to a folder that has them")
    return path
