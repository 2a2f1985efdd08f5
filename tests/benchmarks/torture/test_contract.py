"""The service keeps to its document in a short run; one that does not is found out."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks.torture import contract

DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "one call", "version": "1"},
    "paths": {"/call": {"get": {"responses": {"200": {"description": "fine"}}}}},
}


class OneCall(BaseHTTPRequestHandler):
    """Serves a document of one call, and fails at that call."""

    def do_GET(self) -> None:
        known = {"/openapi.json": 200, "/call": 500}
        body = json.dumps(DOCUMENT).encode()
        self.send_response(known.get(self.path, 404))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), OneCall) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_service_keeps_to_its_document(tmp_path: Path) -> None:
    (row,) = contract.run(0.005, tmp_path)
    assert row.reached, row.line()


def test_an_answer_that_is_not_in_the_document_is_found(url: str, tmp_path: Path) -> None:
    text, report = contract.call(contract.command(url, 1, {"X-Key": "k"}), tmp_path)
    row = contract.judged(report, True, 1.0)
    assert not row.reached
    assert ": 0 server errors" not in row.figure
    assert "UndefinedStatusCode" in row.figure
    assert "[500] Internal Server Error" in text


def report(**changes: Any) -> dict[str, Any]:
    phases = ("examples", "coverage", "fuzzing", "stateful")
    return {
        "operations": {"total": 2, "tested": 2},
        "phases": {name: {"status": "success", "skip_reason": None} for name in phases},
        "test_cases": {"generated": 1_234},
        "failures": [],
        "errors": [],
        "complete": True,
        **changes,
    }


def test_a_report_without_a_fault_reaches_the_goal() -> None:
    row = contract.judged(report(), True, 1.0)
    assert row.reached
    assert row.figure.startswith("1,234 requests to 2 of 2 calls")


@pytest.mark.parametrize(
    ("changes", "alive"),
    [
        ({"operations": {"total": 2, "tested": 1}}, True),
        ({"phases": {"examples": {"status": "success", "skip_reason": None}}}, True),
        ({"failures": [{"type": "ServerError", "count": 1}]}, True),
        ({"failures": [{"type": "UndefinedStatusCode", "count": 1}]}, True),
        ({"errors": ["a network error"]}, True),
        ({"complete": False}, True),
        ({}, False),
    ],
)
def test_a_report_with_a_fault_misses_it(changes: dict[str, Any], alive: bool) -> None:
    assert not contract.judged(report(**changes), alive, 1.0).reached
