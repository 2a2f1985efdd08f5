"""Ask pip-audit whether what the lock files name has known vulnerabilities.

It runs from an environment of its own, so that it is no dependency of the project. One that was
found fails. Where pip-audit cannot be installed, or its database does not answer, that is said in
one line, and nothing fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv-audit"
LOCKS = ("requirements.lock", "requirements-test.lock")
INSTALL_SECONDS = 25
AUDIT_SECONDS = 30
ANSWER_SECONDS = 5


class OutOfReach(Exception):  # noqa: N818
    """Nothing can be said."""


def installed(home: Path) -> Path:
    """The pip-audit of that environment, made where there is none. Raises OutOfReach."""
    program = home / "bin" / "pip-audit"
    if not program.is_file():
        venv.create(home, with_pip=True, clear=True)
        quick = ["--quiet", "--disable-pip-version-check", "--retries", "0"]
        python = str(home / "bin" / "python")
        command = [python, "-m", "pip", "install", *quick, "--timeout", str(ANSWER_SECONDS)]
        done = run([*command, "pip-audit"], INSTALL_SECONDS)
        if done.returncode or not program.is_file():
            raise OutOfReach("pip-audit cannot be installed")
    return program


def audit(program: Path, root: Path) -> dict[str, Any]:
    """What pip-audit reports. Raises OutOfReach."""
    locks = [word for lock in LOCKS for word in ("--requirement", str(root / lock))]
    options = ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    command = [str(program), *locks, *options, "--timeout", str(ANSWER_SECONDS)]
    done = run(command, AUDIT_SECONDS)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise OutOfReach(f"pip-audit got no answer ({last})") from None
    return report


def verdict(report: dict[str, Any]) -> tuple[list[str], int]:
    """What to print, and the exit code. Raises OutOfReach where no package was looked up."""
    known = [package for package in report["dependencies"] if "skip_reason" not in package]
    if not known:
        raise OutOfReach("the database knows none of the packages")
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, "
        f"fixed in {', '.join(found['fix_versions']) or 'no version yet'}"
        for package in known
        for found in package["vulns"]
    ]
    unknown = len(report["dependencies"]) - len(known)
    lines.append(f"{len(known)} packages audited, {len(lines)} vulnerabilities, {unknown} unknown")
    return lines, int(len(lines) > 1)


def run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run it, for so long at most. Raises OutOfReach."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise OutOfReach(f"{Path(command[0]).name} took more than {seconds:g} s") from None


def main() -> int:
    """Audit, and print; the exit code."""
    try:
        lines, code = verdict(audit(installed(HOME), ROOT))
    except OutOfReach as reason:
        print(f"audit: not done, {reason}")
        return 0
    for line in lines:
        print(f"audit: {line}")
    return code


if __name__ == "__main__":
    sys.exit(main())
