"""Schemathesis over the service's own OpenAPI document, against a running service.

All its phases: examples, coverage, fuzzing and stateful. `schemathesis.toml`, beside this file,
says which checks are left out, and why.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks.torture.row import Clock, Row
from benchmarks.torture.seeds import seeds
from service.keyfile import KeyFile
from service.keys import make
from tests.e2e.process import PIXELS, environment, running

EXAMPLES = 300
"""A call, in each phase that draws at random."""

SEED = "1"
TAUGHT = 4
LONGEST = 3 * 3600
CONFIG = Path(__file__).with_name("schemathesis.toml")
KEPT = Path("var/torture/contract.txt")
SERVER_ERROR = "ServerError"


def run(effort: float, folder: Path) -> Sequence[Row]:
    """Call the service as its document says, and not as it says; the row."""
    clock = Clock()
    keys = folder / "keys.json"
    headers = {"Authorization": f"Bearer {_key(keys)}"}
    with running(*PIXELS, cwd=folder, cache=folder / "cache", keys=keys) as process:
        process.ready().close()
        with httpx.Client(base_url=process.url, headers=headers, timeout=30) as http:
            _teach(http)
            asked = command(process.url, max(1, round(EXAMPLES * effort)), headers)
            text, report = call(asked, folder)
            alive = http.get("/readyz").status_code == 200
    row = judged(report, alive, clock.seconds)
    if not row.reached:
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_text(text, encoding="utf-8")
    return [row]


def _key(file: Path) -> str:
    """A key that may do everything, and as often as it likes."""
    key, kept = make("contract", ("admin",), rate=1e6, burst=10**6, concurrency=1_000)
    KeyFile(file).add(kept)
    return key


def _teach(http: httpx.Client) -> None:
    """Two classes, with shots: else most calls would end before they begin."""
    drawn = seeds()
    for label, images in (("truck", drawn[:TAUGHT]), ("other/one", drawn[-TAUGHT:])):
        files = [("image", image) for image in images]
        http.post("/cache/add", data={"label": label}, files=files).raise_for_status()


def command(url: str, examples: int, headers: Mapping[str, str]) -> list[str]:
    """Of schemathesis, with so many examples a call, and these headers on every request."""
    return [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG)),
        *("run", f"{url}/openapi.json", "--max-examples", str(examples), "--seed", SEED),
        *("--generation-database", "none", "--no-color"),
        *(f"--header={name}: {value}" for name, value in headers.items()),
    ]


def call(asked: Sequence[str], folder: Path) -> tuple[str, dict[str, Any]]:
    """What schemathesis printed, and its report. Raises RuntimeError where it gave none."""
    report = folder / "report.json"
    done = subprocess.run(
        [*asked, "--report", "json", "--report-json-path", str(report)],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    if not report.is_file():
        raise RuntimeError(f"expected a report of schemathesis, got none:\n{done.stdout}")
    return done.stdout, json.loads(report.read_text(encoding="utf-8"))


def judged(report: dict[str, Any], alive: bool, seconds: float) -> Row:
    """The row of a report; `alive`: the service was ready at the end."""
    failures = {kind["type"]: kind["count"] for kind in report["failures"]}
    server_errors = failures.pop(SERVER_ERROR, 0)
    outside = sum(failures.values())
    shown = "".join(f", {count} x {kind}" for kind, count in failures.items())
    calls, cases = report["operations"], report["test_cases"]
    complete = report["complete"] and calls["tested"] == calls["total"] and not report["errors"]
    phases = [name for name, phase in report["phases"].items() if phase["skip_reason"] is None]
    return Row(
        "schemathesis over the OpenAPI document",
        f"{cases['generated']:,} requests to {calls['tested']} of {calls['total']} calls "
        f"({', '.join(phases)}): {server_errors} server errors, "
        f"{outside} answers outside the document{shown}",
        "every call, all four phases, 0 server errors, 0 answers outside the document",
        complete and alive and len(phases) == 4 and not server_errors and not outside,
        seconds,
    )
