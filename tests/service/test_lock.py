"""One build a folder, and one training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.lock import LOCK_FILE, CacheLocked, build_lock, training_lock

HOLDER = """
import sys
from pathlib import Path
from service.lock import build_lock
with build_lock(Path(sys.argv[1]), "xmadapter index build"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_one_is_told_who_has_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cache"
    with build_lock(folder, "xmadapter index build"):
        pattern = rf"being filled by xmadapter index build \(process {os.getpid()} on"
        with pytest.raises(CacheLocked, match=pattern), build_lock(folder, "index build"):
            pass
    with build_lock(folder, "index build"):
        assert "index build" in (folder / LOCK_FILE).read_text(encoding="utf-8")


def test_a_holder_that_has_written_nothing_yet_is_another_process(tmp_path: Path) -> None:
    with build_lock(tmp_path, "serve"):
        (tmp_path / LOCK_FILE).write_text("", encoding="utf-8")
        with (
            pytest.raises(CacheLocked, match="being filled by another process"),
            build_lock(tmp_path, ""),
        ):
            pass


def test_the_lock_goes_with_the_process_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        pattern = f"process {holder.pid} on"
        with pytest.raises(CacheLocked, match=pattern), build_lock(tmp_path, ""):
            pass
        holder.kill()
    with build_lock(tmp_path, "serve"):
        pass


def test_one_training_at_a_time_beside_a_build(tmp_path: Path) -> None:
    with build_lock(tmp_path, "xmadapter index build"), training_lock(tmp_path / "adapters"):
        pattern = rf"is being trained by xmadapter train \(process {os.getpid()} on.*: one at a"
        with pytest.raises(CacheLocked, match=pattern), training_lock(tmp_path / "adapters"):
            pass
    with training_lock(tmp_path / "adapters"):
        pass
