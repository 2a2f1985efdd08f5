"""The parts of the peers that need no network: what is installed, and servers as processes."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import httpx
import pytest

from benchmarks.performance import peers
from benchmarks.performance.peers import ENVIRONMENTS, PeerMissing, installed, require
from benchmarks.performance.peers_process import running

SERVER = """
import http.server, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(child.pid).encode())
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def gone(pid: int) -> bool:
    """Whether a process has ended, though it may not have been waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_server_is_paused_and_ended_with_all_of_its_processes() -> None:
    with running(lambda port: [sys.executable, "-c", SERVER, str(port)], "/") as server:
        child = int(httpx.get(server.url).text)
        server.pause()
        with pytest.raises(httpx.TimeoutException):
            httpx.get(server.url, timeout=0.2)
        with server.awake():
            assert httpx.get(server.url).status_code == 200
    deadline = time.monotonic() + 10
    while not (gone(server.pid) and gone(child)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert gone(server.pid)
    assert gone(child)


def test_a_server_that_ends_says_why() -> None:
    program = "import sys; sys.exit('the model is missing')"
    with (
        pytest.raises(RuntimeError, match="the model is missing"),
        running(lambda port: [sys.executable, "-c", program], "/"),
    ):
        pass


def test_the_services_settings_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMADAPTER_MODEL", "another")
    program = "import os, sys; sys.exit('set: ' + str(os.environ.get('XMADAPTER_MODEL')))"
    with (
        pytest.raises(RuntimeError, match="set: None"),
        running(lambda port: [sys.executable, "-c", program], "/"),
    ):
        pass


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_is_there_once_it_has_the_locked_versions(
    name: peers.Environment, tmp_path: Path
) -> None:
    with pytest.raises(PeerMissing, match=f"{name} is not installed: run make bench-peers"):
        require(name, tmp_path)
    (tmp_path / name).mkdir()
    mark = tmp_path / name / "installed"
    mark.write_text("of other versions")
    assert not installed(name, tmp_path)
    mark.write_text(peers._wanted(name))
    assert require(name, tmp_path) == tmp_path / name / "bin" / "python"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_lock_files_have_exact_versions_and_no_addresses(name: peers.Environment) -> None:
    lines = peers._lock(name).read_text().splitlines()
    assert lines[0].startswith("#")
    for line in lines[1:]:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)


def test_only_install_is_known() -> None:
    with pytest.raises(SystemExit, match="usage"):
        peers.main(["remove"])
