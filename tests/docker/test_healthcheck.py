from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.docker.compose import BASE as COMPOSE
from tests.docker.compose import ROOT, service

SCRIPT = ROOT / "docker" / "healthcheck.py"


@contextmanager
def server(status: int) -> Iterator[int]:
    """The port of a server that answers `status` on /readyz and 500 on anything else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 500)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Tests are quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield http.server_port
        finally:
            http.shutdown()
            thread.join()


def check(port: int, **environment: str) -> int:
    variables = os.environ | {"XMADAPTER_PORT": str(port)} | environment
    return subprocess.run([sys.executable, str(SCRIPT)], env=variables, timeout=30).returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1), (302, 1)])
def test_healthy_is_200_on_readyz(status: int, code: int) -> None:
    with server(status) as port:
        assert check(port) == code


def test_a_proxy_is_not_asked_about_this_container() -> None:
    with server(200) as port, server(503) as proxy:
        address = f"http://127.0.0.1:{proxy}"
        assert check(port, http_proxy=address, HTTP_PROXY=address, no_proxy="") == 0


def test_unhealthy_while_nothing_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else's
        assert check(taken.getsockname()[1]) == 1


def test_unhealthy_when_no_http_comes_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            connection, _ = listening.accept()
            connection.recv(1024)
            connection.sendall(b"not http\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        assert check(listening.getsockname()[1]) == 1
        thread.join()


def test_the_container_runs_this_script() -> None:
    assert service(COMPOSE)["healthcheck"]["test"][-1] == f"/app/{SCRIPT.name}"
