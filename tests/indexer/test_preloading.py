"""Rows on their way, read without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from adapter.encoder import PixelEncoder
from indexer.cache import Cache
from indexer.errors import CacheDamaged
from indexer.preloading import preloading
from indexer.reader import FILE
from tests.indexer.helpers import directions, new_shots, teach_three

ENCODER = PixelEncoder()


def test_no_cache_is_nothing_to_read(tmp_path: Path) -> None:
    assert preloading(tmp_path) is None


def test_a_cache_opened_with_its_rows_answers_the_same_and_misses_no_change(tmp_path: Path) -> None:
    with Cache.open(tmp_path, ENCODER) as cache:
        teach_three(cache)
        cache.refit()
        reading = preloading(tmp_path)
        assert reading is not None
        rows = reading.result(10)
        cache.add("dog", new_shots([400]))
    with Cache.open(tmp_path, ENCODER) as cache:
        expected = cache.classify(directions(3, seed=1))
    with Cache.open(tmp_path, ENCODER, preloaded=rows) as cache:
        found = cache.classify(directions(3, seed=1))
        assert found.labels == expected.labels
        torch.testing.assert_close(found.logits, expected.logits)


def test_damage_is_told(tmp_path: Path) -> None:
    with Cache.open(tmp_path, ENCODER) as cache:
        cache.add("ant", new_shots(range(40)))
    data = bytearray((tmp_path / FILE).read_bytes())
    data[len(data) // 2 :: 97] = bytes(len(data[len(data) // 2 :: 97]))
    (tmp_path / FILE).write_bytes(data)
    reading = preloading(tmp_path)
    assert reading is not None
    with pytest.raises(CacheDamaged, match=FILE):
        reading.result(10)


def test_reading_needs_no_torch() -> None:
    code = "import sys, indexer.preloading; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
