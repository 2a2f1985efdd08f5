"""The audit fails for what it finds, and for nothing else. No network: pip-audit is a script."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT

GOOD: dict[str, Any] = {"name": "good", "version": "1.0", "vulns": []}
BAD: dict[str, Any] = {
    "name": "bad",
    "version": "2.0",
    "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}, {"id": "CVE-2", "fix_versions": []}],
}
SKIPPED: dict[str, Any] = {"name": "own", "skip_reason": "not found"}


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with an environment that is still to be made."""
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "HOME", tmp_path / "tool")
    return module


def install(audit: ModuleType, script: str) -> None:
    """A pip-audit that does this."""
    program = Path(audit.HOME) / "bin" / "pip-audit"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def printing(*packages: dict[str, Any]) -> str:
    return f"echo '{json.dumps({'dependencies': packages})}'"


def test_packages_without_vulnerabilities_pass(
    audit: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    install(audit, printing(GOOD, SKIPPED))
    assert audit.main() == 0
    assert capsys.readouterr().out == "audit: 1 packages audited, 0 vulnerabilities, 1 unknown\n"


def test_a_vulnerability_fails_and_is_named(
    audit: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    install(audit, printing(GOOD, BAD) + "; exit 1")
    assert audit.main() == 1
    assert capsys.readouterr().out.splitlines() == [
        "audit: bad 2.0: CVE-1, fixed in 2.1",
        "audit: bad 2.0: CVE-2, fixed in no version yet",
        "audit: 2 packages audited, 2 vulnerabilities, 0 unknown",
    ]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'connection refused' >&2; exit 1", "connection refused"),
        ("exit 1", "it printed nothing"),
        (printing(SKIPPED), "knows none of the packages"),
        ("exec sleep 9", "more than 0.2 s"),
    ],
)
def test_a_database_out_of_reach_is_said_in_one_line(
    script: str,
    reason: str,
    audit: ModuleType,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(audit, script)
    monkeypatch.setattr(audit, "AUDIT_SECONDS", 0.2 if "sleep" in script else 60)
    assert audit.main() == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("audit: not done, ")
    assert reason in line


def test_so_is_a_pip_audit_that_cannot_be_installed(
    audit: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr(audit.venv, "create", lambda home, **_: made.append(home))
    monkeypatch.setattr(
        audit, "run", lambda command, _: audit.subprocess.CompletedProcess(command, 1)
    )
    assert audit.main() == 0
    assert made == [audit.HOME]
    assert capsys.readouterr().out == "audit: not done, pip-audit cannot be installed\n"


def test_it_reads_the_lock_files_and_no_other_address(audit: ModuleType) -> None:
    install(audit, f'echo "$@" > {audit.HOME}/asked; ' + printing(GOOD))
    assert audit.main() == 0
    asked = (Path(audit.HOME) / "asked").read_text()
    assert all(
        str(ROOT / name) in asked for name in ("requirements.lock", "requirements-test.lock")
    )
    assert "://" not in asked
