"""A small part of the damage to adapters and snapshots, and that silence would be seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.torture import adapter_flips
from indexer import adapters, centroids, sealed
from indexer.sealed import SealBroken, Sealed

FILES = ("0002.safetensors", "0002.json", "current", "image-centroids.safetensors")


def test_a_small_part_reaches_its_goals(tmp_path: Path) -> None:
    rows = adapter_flips.run(0.004, tmp_path)
    assert [row.name for row in rows[::2]] == [f"40 random byte flips in {name}" for name in FILES]
    for row in rows:
        assert row.reached, row.line()
    for row in rows[::2]:
        assert row.figure == "40 told, 0 as before, 0 wrong"
    # Files are as they were before the next one is damaged.
    assert (tmp_path / "adapters/adapters/0002.json").read_bytes().endswith(b"}\n")


def reached(folder: Path) -> list[bool]:
    flips = adapter_flips.check_adapter_files(0.004, folder)[::2]
    return [row.reached for row in flips]


def test_networks_without_a_checksum_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "checksum_of", lambda content: "0" * 64)
    assert reached(tmp_path / "a") == [False, True, True]


def test_a_record_without_a_checksum_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unchecked(content: bytes) -> Sealed:
        try:
            facts = json.loads(content)
            return Sealed({name: facts[name] for name in facts if name != "checksum"})
        except ValueError as error:
            raise SealBroken(str(error)) from error

    monkeypatch.setattr(sealed, "unseal", unchecked)
    monkeypatch.setattr(Sealed, "checksum", "0" * 64)
    assert reached(tmp_path / "a")[:2] == [True, False]


def test_a_snapshot_that_is_made_again_in_silence_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(centroids, "_warn", lambda *_: None)
    flips, _ = adapter_flips.check_snapshot(0.0005, tmp_path / "a")
    assert not flips.reached
