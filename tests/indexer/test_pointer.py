"""Which adapter is to serve, in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.networks import AdapterFileError
from indexer.pointer import Pointer, read_pointer
from indexer.sealed import Sealed


def test_it_is_read_back_and_without_a_file_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "current"
    assert read_pointer(path) is None
    path.write_bytes(Pointer(3, "ab").content())
    assert read_pointer(path) == Pointer(3, "ab")


@pytest.mark.parametrize("content", [b"", b"3\n", Sealed({"number": "three"}).content()])
def test_what_is_none_is_told_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "current"
    path.write_bytes(content)
    with pytest.raises(AdapterFileError, match=r"current is damaged.*xmadapter adapter use"):
        read_pointer(path)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "current").mkdir()
    with pytest.raises(AdapterFileError, match="cannot read"):
        read_pointer(tmp_path / "current")
