"""The command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapter.encoder import PixelEncoder
from service import __version__, cli, indexing
from service.cli import app
from service.ending import FAILED, IN_PART, WRONG_USAGE
from service.running import ServeError
from tests.service.serving import GREEN, RED, Service, picture


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "200"})


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(picture(RED, mark=number))
    return paths


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("keys", "create"), ["--scope", "--expires", "--rate", "--concurrency", "--keys"]),
        ((), ["serve", "keys", "index", "classify", "add", "demo", "Exit codes: 0 done, 1 failed"]),
        (("serve",), ["--port", "--max-queue-bytes", "--examples", "XMADAPTER_"]),
        (("index", "build"), ["--views", "--strict", "--pretrained", "exit code is 3"]),
        (("index", "info"), ["--json"]),
        (("cache",), ["export", "import", "verify", "compact"]),
        (("cache", "export"), ["--without-history", "TMPDIR"]),
        (("cache", "verify"), ["--deep", "exit code is 1"]),
        (("cache", "compact"), ["--keep", "--yes"]),
        (("classify",), ["--top-k", "--min-confidence", "--url", "XMADAPTER_API_KEY"]),
        (("add",), ["--caption", "--relabel"]),
        (("train",), ["--epochs", "--no-mask", "--force", "--prompts", "--method", "code is 3"]),
        (("adapter",), ["list", "use"]),
        (("adapter", "use"), ["none for untrained networks", "a service may"]),
        (("demo",), ["--images", "--cache"]),
    ],
)
def test_help(command: tuple[str, ...], expected: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    for text in expected:
        assert text in result.output


@pytest.mark.parametrize("words", [(), ("serve",)])
def test_help_is_there_at_once(words: tuple[str, ...]) -> None:
    """By what it imports: seconds would say more of the machine."""
    command = [sys.executable, "-X", "importtime", "-m", "service.cli", *words, "--help"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    heavy = r"\| +(torch|torchvision|open_clip|faiss|fastapi|starlette|uvicorn|sqlite3|httpx)$"
    assert not re.search(heavy, found.stderr, re.MULTILINE)
    assert "service.settings" in found.stderr


def test_version() -> None:
    assert run("--version").output == f"xmadapter {__version__}\n"


def test_classify_shows_a_table(taught: Service, images: list[Path]) -> None:
    result = run("classify", images[0], "--url", taught.url, "--explain", 2)
    assert result.exit_code == 0
    assert f"{images[0]}: red" in result.output
    for text in ("image", "cache", "the nearest shots"):
        assert text in result.output


def test_classify_prints_json(taught: Service, images: list[Path]) -> None:
    result = run("classify", *images, "--url", taught.url, "--json", "--top-k", 1)
    found = [json.loads(line) for line in result.output.splitlines()]
    assert [each["image"] for each in found] == [str(path) for path in images]
    assert {each["label"] for each in found} == {"red"}
    assert all(len(each["predictions"]) == 1 for each in found)


def test_classify_goes_on_after_a_bad_image_and_says_so(
    taught: Service, images: list[Path]
) -> None:
    images[1].write_bytes(b"no image")
    result = run("classify", *images, "--url", taught.url, "--json")
    assert result.exit_code == IN_PART
    assert len(result.stdout.splitlines()) == 2
    assert f"Error: {images[1]}: 415" in result.stderr
    alone = run("classify", images[1], "--url", taught.url)
    assert alone.exit_code == FAILED
    assert "Error: 415" in alone.stderr


def test_a_missing_image_is_wrong_usage(taught: Service, tmp_path: Path) -> None:
    result = run("classify", tmp_path / "none.png", "--url", taught.url)
    assert result.exit_code == WRONG_USAGE
    assert "does not exist" in result.stderr


@pytest.mark.parametrize("command", [("classify",), ("add", "red")])
def test_without_a_service_there_is_a_hint(
    command: tuple[str, ...], images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XMADAPTER_PORT", "9")
    result = run(*command, images[0])
    assert result.exit_code == FAILED
    assert "http://127.0.0.1:9" in result.stderr
    assert "xmadapter serve" in result.stderr


def test_add_teaches(service: Service, images: list[Path]) -> None:
    result = run("add", "red", *images[:2], "--url", service.url)
    assert result.exit_code == 0
    assert result.output.startswith("red: 2 new; 2 in the class (cache version ")
    result = run("add", "red", *images, "--url", service.url)
    assert result.output.startswith("red: 1 new, 2 known already; 3 in the class")
    refused = run("add", "crimson", images[0], "--url", service.url)
    assert refused.exit_code == FAILED
    assert "409" in refused.stderr
    moved = run("add", "crimson", images[0], "--url", service.url, "--relabel", "--json")
    assert json.loads(moved.output)["shots_in_class"] == 1


def test_add_takes_captions(service: Service, images: list[Path]) -> None:
    captions = ("--caption", "first", "--caption", "")
    assert run("add", "red", *images[:2], *captions, "--url", service.url).exit_code == 0
    shots = service.http.get("/cache/shots").json()["shots"]
    assert [shot["caption"] for shot in shots] == ["first", None]
    wrong = run("add", "red", *images, *captions, "--url", service.url)
    assert wrong.exit_code == WRONG_USAGE
    assert "one --caption for each of 3 images, got 2" in wrong.stderr


def test_add_sends_many_images_in_several_requests(
    service: Service, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "MAX_ADD_IMAGES", 2)
    result = run("add", "red", *images, "--url", service.url, "--json")
    answers = [json.loads(line) for line in result.output.splitlines()]
    assert [len(each["shot_ids"]) for each in answers] == [2, 1]
    assert answers[-1]["shots_in_class"] == 3
    monkeypatch.setattr(cli, "UPLOAD_BYTES", images[0].stat().st_size + 1)
    assert [len(part) for part in cli._uploads(images)] == [1, 1, 1]


def test_index_build_and_info(
    images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "load_encoder", lambda *names, **options: PixelEncoder())
    source, cache = tmp_path / "source", tmp_path / "cache"
    for label, colour in (("red", RED), ("green", GREEN)):
        (source / label).mkdir(parents=True)
        (source / label / "1.png").write_bytes(picture(colour))
    (source / "red" / "broken.png").write_bytes(b"broken")

    strict = run("index", "build", source, cache, "--strict", "--quiet", "--views", 2)
    assert strict.exit_code == FAILED
    assert "broken.png" in strict.stderr

    built = run("index", "build", source, cache, "--quiet", "--views", 2)
    assert built.exit_code == IN_PART
    assert "2 images added" in built.stdout or "1 images added, 1 known" in built.stdout
    assert "skipped" in built.stderr
    assert "broken.png" in built.stderr
    assert "1 images were skipped" in built.stderr

    (source / "red" / "broken.png").unlink()
    again = run("index", "build", source, cache, "--quiet", "--views", 2)
    assert again.exit_code == 0
    assert "0 images added, 2 known already" in again.stdout

    shown = run("index", "info", cache)
    assert shown.exit_code == 0
    assert re.search(r"shots +2\s", shown.output)
    facts: dict[str, Any] = json.loads(run("index", "info", cache, "--json").output)
    assert (facts["classes"], facts["shots"]) == (2, 2)


def test_index_build_without_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "load_encoder", lambda *names, **options: PixelEncoder())
    (tmp_path / "empty").mkdir()
    result = run("index", "build", tmp_path / "empty", tmp_path / "cache")
    assert result.exit_code == FAILED
    assert "holds no images" in result.stderr
    assert not (tmp_path / "cache").exists()


def test_index_info_of_nothing(tmp_path: Path) -> None:
    result = run("index", "info", tmp_path)
    assert result.exit_code == FAILED
    assert "no cache at" in result.stderr


def test_the_demo_is_prepared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    monkeypatch.setattr(indexing, "make_demo", lambda settings, images: made.append(images))
    monkeypatch.setattr(indexing, "demo_exists", lambda cache, images: bool(made))
    command = ("demo", "--cache", tmp_path / "cache", "--images", tmp_path / "images")
    assert "Preparing the demo" in run(*command).output
    assert run(*command).output == ""
    assert made == [tmp_path / "images"]


def test_serve_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(settings: object) -> None:
        raise ServeError("port 1 is in use")

    monkeypatch.setattr("service.server.serve", refuse)
    result = run("serve")
    assert result.exit_code == FAILED
    assert result.stderr == "Error: port 1 is in use\n"


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (("--max-batch", "0"), {}, "--max-batch: expected greater than or equal to 1, got 0"),
        ((), {"XMADAPTER_MAX_BATCH": "x"}, "XMADAPTER_MAX_BATCH: expected a valid integer"),
        ((), {"XMADAPTER_MAXBATCH": "1"}, "did you mean XMADAPTER_MAX_BATCH?"),
    ],
)
def test_wrong_settings_are_wrong_usage(
    arguments: tuple[str, ...],
    environment: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = run("serve", *arguments)
    assert result.exit_code == WRONG_USAGE
    assert message in result.stderr
