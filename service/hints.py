"""What is printed once the service answers: three lines to copy, and what to know of the model."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from adapter.embedded import MODEL_NAME, NOTICE
from service.settings import CLIENT_KEY

TAUGHT_TOGETHER = 4
WILDCARDS = ("0.0.0.0", "::", "")


def notice(model: str | None) -> str | None:
    """What to know about a model, by its name as shown to people."""
    return NOTICE if model and model.partition("/")[0] == MODEL_NAME else None


def address(host: str, port: int) -> str:
    """Where a person on this machine reaches the service."""
    reachable = "127.0.0.1" if host in WILDCARDS else host
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def lines(url: str, examples: Path | None, *, with_key: bool = False) -> list[str]:
    """A curl that classifies, a curl that teaches a class, and the API's page.

    Args:
        url: of the service.
        examples: folder of demonstration images, if there is one.
        with_key: send the API key of the variable that the command line reads, too.
    """
    curl = f'curl -H "Authorization: Bearer ${CLIENT_KEY}"' if with_key else "curl"
    question, lesson = _examples(examples)
    label = lesson[0].parent.name if lesson else "LABEL"
    images = lesson or [Path(f"{number}.jpg") for number in range(1, TAUGHT_TOGETHER + 1)]
    image = question or Path("photo.jpg")
    forms = " ".join(f"-F {_quoted(f'image=@{_shown(path)}')}" for path in images)
    return [
        f"{curl} -F {_quoted(f'image=@{_shown(image)}')} {url}/classify",
        f"{curl} -F {_quoted(f'label={label}')} {forms} {url}/cache/add",
        f"{url}/docs",
    ]


def _examples(folder: Path | None) -> tuple[Path | None, list[Path]]:
    """A picture to ask about and some of one class to teach, where `folder` has them."""
    if folder is None:
        return None, []
    questions = sorted(folder.glob("test/*/00.png"))
    lessons = sorted(path for path in folder.glob("teach/*") if path.is_dir())
    lesson = sorted(lessons[0].glob("*.png"))[:TAUGHT_TOGETHER] if lessons else []
    return (questions[0] if questions else None), lesson


def _shown(path: Path) -> str:
    """Relative where it is below the folder that the command is typed in."""
    absolute = path.absolute()
    here = Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else os.fspath(path)


def _quoted(text: str) -> str:
    return shlex.quote(text)
