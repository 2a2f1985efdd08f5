"""Write requirements.lock and requirements-test.lock from what the environment holds.

Exact versions, no addresses. What only Linux on x86-64 has (CUDA's libraries, faiss-gpu) carries
a marker, so that the same file installs elsewhere.
"""

from __future__ import annotations

import re
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LINUX_X86 = "sys_platform == 'linux' and platform_machine == 'x86_64'"
LINUX_ONLY = re.compile(r"^(nvidia|cuda|triton|faiss-gpu)")
NOT_WINDOWS = {"uvloop"}


def closure(name: str, extras: frozenset[str], seen: dict[str, frozenset[str]]) -> None:
    """Add `name` and all that it needs here to `seen` (package -> extras walked)."""
    name = canonicalize_name(name)
    if name in seen and extras <= seen[name]:
        return
    seen[name] = seen.get(name, frozenset()) | extras
    for text in distribution(name).requires or []:
        need = Requirement(text)
        contexts = [{"extra": extra} for extra in sorted(seen[name])] or [{"extra": ""}]
        if need.marker is None or any(need.marker.evaluate(context) for context in contexts):
            closure(need.name, frozenset(need.extras), seen)


def line(name: str) -> str:
    """One pinned requirement, with its marker."""
    pin = f"{name}=={distribution(name).version.split('+')[0]}"
    if LINUX_ONLY.match(name):
        return f"{pin} ; {LINUX_X86}"
    if name in NOT_WINDOWS:
        return f"{pin} ; sys_platform != 'win32'"
    return pin


def write(path: Path, names: set[str], extra: list[str]) -> None:
    """Write `names`, sorted, and the ready lines `extra`."""
    lines = sorted([*(line(name) for name in names), *extra])
    path.write_text("# Written by `make lock`.\n" + "\n".join(lines) + "\n")


def main() -> None:
    """Resolve the project's own requirements and its test extras."""
    run: dict[str, frozenset[str]] = {}
    test: dict[str, frozenset[str]] = {}
    closure("xmadapter", frozenset(), run)
    closure("xmadapter", frozenset({"test"}), test)
    closure("setuptools", frozenset(), run)
    own = {"xmadapter"}
    faiss = f"faiss-cpu=={distribution('faiss-gpu').version} ; {negated()}"
    write(ROOT / "requirements.lock", set(run) - own, [faiss])
    write(ROOT / "requirements-test.lock", set(test) - set(run) - own, [])


def negated() -> str:
    """The marker of every machine that is not Linux on x86-64."""
    return "sys_platform != 'linux' or platform_machine != 'x86_64'"


if __name__ == "__main__":
    main()
