from __future__ import annotations

import shlex
import tomllib
from typing import Any

import pytest

from tests.docker.compose import ROOT
from tests.docker.dockerfile import copied, exec_form, instructions, rests

SECRET_OR_LARGE = [".env", ".git", ".venv", "var", "tests", "benchmarks", "docker/secret"]


def packaging() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def let_through() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*", "everything is shut out before anything is let through"
    return [rule.removeprefix("!") for rule in rules if rule.startswith("!")]


def in_context(path: str) -> bool:
    return any(path == rule or path.startswith(f"{rule}/") for rule in let_through())


def test_a_change_of_code_does_not_install_the_packages_again() -> None:
    steps = instructions()
    heavy = next(
        n for n, step in enumerate(steps) if "--requirement requirements.lock" in step.rest
    )
    before = [step.rest.split()[:-1] for step in steps[:heavy] if step.word in {"COPY", "ADD"}]
    assert before == [["requirements.lock"]]


def test_the_image_has_every_package_and_what_its_build_reads() -> None:
    project = packaging()["project"]
    found = packaging()["tool"]["setuptools"]["packages"]["find"]["include"]
    needed = {pattern.rstrip("*") for pattern in found}
    needed |= {"pyproject.toml", project["readme"], *project["license-files"]}
    assert needed <= set(copied())


@pytest.mark.parametrize("path", copied())
def test_what_is_copied_exists_and_is_in_the_build_context(path: str) -> None:
    assert (ROOT / path).exists()
    assert in_context(path)


@pytest.mark.parametrize("path", SECRET_OR_LARGE)
def test_nothing_else_is_in_the_build_context(path: str) -> None:
    assert not in_context(path)


def test_the_server_gets_the_signals_and_serves_by_default() -> None:
    assert exec_form("ENTRYPOINT") + exec_form("CMD") == ["xmadapter", "serve"]
    assert "xmadapter" in packaging()["project"]["scripts"]


def test_the_user_is_not_root_and_owns_the_volumes() -> None:
    (user,) = rests("USER")
    uid, gid = (int(number) for number in user.split(":"))
    assert uid > 0
    assert gid > 0
    (setup,) = [rest for rest in rests("RUN") if "useradd" in rest]
    group, account, folders = (shlex.split(part) for part in setup.split("&&"))
    assert group == ["groupadd", "--gid", str(gid), "xmadapter"]
    assert account[:5] == ["useradd", "--uid", str(uid), "--gid", "xmadapter"]
    assert {"--owner=xmadapter", "--group=xmadapter", *exec_form("VOLUME")} <= set(folders)


def test_nothing_runs_as_root_after_the_user_is_set() -> None:
    words = [step.word for step in instructions()]
    assert not {"RUN", "COPY", "ADD", "USER"} & set(words[words.index("USER") + 1 :])
