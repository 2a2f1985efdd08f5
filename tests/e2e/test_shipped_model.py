"""The command that users type, with the model that ships, and the lines that it prints."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adapter.drawings import DEMO_CLASSES, EXTRA_CLASS, demo_image
from adapter.embedded import NOTICE, weights_path
from tests.e2e.process import CLI, environment, running
from tests.service.serving import eventually


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A demonstration folder, with fewer images than the real one."""
    folder = tmp_path / "demo"
    label = DEMO_CLASSES[0]
    for path, drawn, seed in (
        *((f"test/{label}/00.png", label, 1000),),
        *((f"teach/{EXTRA_CLASS}/{number}.png", EXTRA_CLASS, number) for number in range(4)),
        *((f"shots/{name}/0.png", name, 0) for name in DEMO_CLASSES[:3]),
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        demo_image(drawn, seed).save(folder / path)
    return folder


def test_what_it_prints_can_be_copied(tmp_path: Path, examples: Path) -> None:
    if not weights_path().exists():
        pytest.skip("the shipped model has no weights here: see docs/model-card.md")
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    settings = {"cache": tmp_path / "cache", "examples": examples}
    with running(*CLI, "serve", cwd=tmp_path, **settings) as process, process.ready() as client:
        for label in DEMO_CLASSES[:3]:
            client.add(label, [examples / "shots" / label / "0.png"])
        ask, teach = (line.strip() for line in process.printed if line.startswith("curl"))
        assert " image=@demo/test/" in ask
        answer = json.loads(_shell(ask, tmp_path))
        assert answer["label"] in DEMO_CLASSES[:3]
        assert answer["model"].startswith("xmadapter-small")
        taught = json.loads(_shell(teach, tmp_path))
        assert taught["label"] == EXTRA_CLASS
        assert taught["shots_in_class"] == 4
        assert any(NOTICE in line for line in process.printed)
        eventually(lambda: client.cache().fitted_version == client.cache().version)
        typed = [*CLI, "classify", str(examples / "teach" / EXTRA_CLASS / "0.png"), "--json"]
        found = json.loads(_python(typed, process.url, tmp_path))
        assert found["label"] == EXTRA_CLASS


def _shell(line: str, folder: Path) -> str:
    done = subprocess.run(
        ["sh", "-c", f"{line} --silent --fail"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _python(arguments: list[str], url: str, folder: Path) -> str:
    port = int(url.rpartition(":")[2])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(port=port),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
