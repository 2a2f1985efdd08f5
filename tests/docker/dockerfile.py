"""docker/Dockerfile as a list of instructions."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple

from tests.docker.compose import ROOT

DOCKERFILE = ROOT / "docker" / "Dockerfile"


class Instruction(NamedTuple):
    """One instruction: its word in capitals, and the rest of it on one line."""

    word: str
    rest: str


def instructions(path: Path = DOCKERFILE) -> list[Instruction]:
    """All instructions in order, with comments left out and continued lines joined."""
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", text).splitlines()
    parts = (line.split(maxsplit=1) for line in joined if line.strip())
    return [Instruction(word.upper(), rest) for word, rest in parts]


def rests(word: str) -> list[str]:
    """What follows each instruction of one kind."""
    return [instruction.rest for instruction in instructions() if instruction.word == word]


def exec_form(word: str) -> list[str]:
    """The one instruction of this kind, which must be in exec form (a JSON list)."""
    (rest,) = rests(word)
    parsed: list[str] = json.loads(rest)
    return parsed


def image_environment() -> dict[str, str]:
    """The variables that the image sets."""
    pairs = (pair.split("=", 1) for rest in rests("ENV") for pair in shlex.split(rest))
    return dict(pairs)


def copied() -> list[str]:
    """The paths of the repository that go into the image."""
    words = [word for rest in rests("COPY") for word in rest.split()[:-1]]
    return [word for word in words if not word.startswith("--")]
