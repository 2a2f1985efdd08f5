"""Caches to test with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.indexer.filled import fill


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    fill(folder)
    return folder


@pytest.fixture
def filled(_filled: Path, tmp_path: Path) -> Path:
    """A cache of its own that has something of everything, see `tests.indexer.filled`."""
    folder = tmp_path / "filled"
    shutil.copytree(_filled, folder)
    return folder
