from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from indexer.errors import CacheBusy, CacheUnwritable
from indexer.lock import FolderLock

HOLD = """
import sys, time
from pathlib import Path
from indexer.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_holder_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    first = FolderLock(tmp_path)
    # Twice: a refused attempt must not loosen what the first holds.
    for _ in range(2):
        with pytest.raises(CacheBusy, match="stop that one"):
            FolderLock(tmp_path)
    attempt = [sys.executable, "-c", HOLD, str(tmp_path)]
    refused = subprocess.run(attempt, capture_output=True, text=True, check=False)
    assert "CacheBusy" in refused.stderr
    first.release()
    first.release()
    FolderLock(tmp_path).release()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(CacheBusy):
            FolderLock(tmp_path)
        holder.kill()
    FolderLock(tmp_path).release()


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CacheUnwritable, match="nowhere"):
        FolderLock(tmp_path / "nowhere")
