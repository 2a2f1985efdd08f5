"""`xmadapter evaluate`, end to end."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

from adapter.encoder import PixelEncoder
from service import comparing
from service.cli import app
from service.comparing import INTERRUPTED, read_prompts
from service.ending import FAILED, IN_PART, WRONG_USAGE
from service.lock import build_lock
from tests.adapter.evaluation.fakes import prototypes, zero_shot
from tests.adapter.evaluation.trees import folder_set, imagenet


class Rn50(PixelEncoder):
    """Goes by the name of a model whose accuracy is published."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "RN50/openai"


@pytest.fixture(autouse=True)
def _without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    methods = {"zero-shot": zero_shot, "xmadapter-full": prototypes}
    monkeypatch.setattr(comparing, "known_methods", lambda: methods)
    monkeypatch.setattr(comparing, "encoder_of", lambda settings: PixelEncoder())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder_set(tmp_path / "one")
    folder_set(tmp_path / "two", test=2)
    return tmp_path


def run(root: Path, *more: str, datasets: str = "folder:one,folder:two") -> Result:
    where = ("--root", str(root), "--out", str(root / "out"), "--datasets", datasets)
    command = ["evaluate", *where, "--shots", "1,2", "--seeds", "1,2", "--views", "2", *more]
    return CliRunner().invoke(app, command, env={"COLUMNS": "200"})


def test_two_folders_end_to_end(root: Path) -> None:
    result = run(root)
    assert result.exit_code == 0, result.output
    assert "| xmadapter-full | **100.0 ± 0.0** | **100.0 ± 0.0** |" in result.output
    assert "folder:one: no zero-shot accuracy is published for pixel-encoder" in result.output
    out = root / "out"
    with (out / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("dataset", "method", "track", "shots", "seed"),
        *("accuracy", "seconds", "trained_parameters", "model"),
    ]
    assert len(rows) == 2 * 2 * 2 * 2
    for name in ("curves.png", "cost.png", *(path.name for path in out.glob("confusion-*.png"))):
        with Image.open(out / name) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 400
            low, high = picture.convert("L").getextrema()
            assert (low, high) == (0, 255)
    assert (out / "features").is_dir()
    before = (out / "runs.csv").read_bytes()
    assert run(root).exit_code == 0
    assert (out / "runs.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--methods", "xmadapter-ful"), "unknown method 'xmadapter-ful'; nearest: xmadapter-full"),
        (("--datasets", "dgits"), "unknown data set 'dgits'; nearest: digits"),
        (("--shots", "0"), "expected shots such as"),
        (("--seeds", "one"), "expected seeds such as"),
        (("--confusion", "gda"), "unknown method 'gda'"),
        (("--prompts", "none.txt"), "cannot read none.txt"),
        (("--methods", ""), "expected at least one data set, method"),
    ],
)
def test_wrong_usage(root: Path, more: tuple[str, ...], message: str) -> None:
    result = run(root, *more)
    assert result.exit_code == WRONG_USAGE
    assert message in result.stderr
    assert not (root / "out").exists()


def test_what_cannot_be_done(root: Path) -> None:
    for datasets, more, message in (
        ("folder:none", (), "none"),
        ("imagenet", (), "classnames.txt"),
        ("folder:one", ("--shots", "5"), "expected at most 4 shots a class"),
        ("folder:one", ("--track", "few-shot-validation"), "no picture left to validate"),
    ):
        result = run(root, *more, datasets=datasets)
        assert result.exit_code == FAILED, datasets
        assert message in result.stderr
    assert run(root).exit_code == 0
    other = run(root, "--wrong-labels", "0.5")
    assert other.exit_code == FAILED
    assert "wrong_labels is 0.0 there and 0.5 now" in other.stderr


def test_one_at_a_time(root: Path) -> None:
    with build_lock(root / "out", "a test"):
        result = run(root)
    assert result.exit_code == FAILED
    assert "another process writes to" in result.stderr


def test_an_interruption_says_how_to_go_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*given: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(comparing, "evaluate", interrupt)
    result = run(root)
    assert result.exit_code == INTERRUPTED
    assert "the same command goes on" in result.stderr


def test_a_missed_accuracy_is_loud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "encoder_of", lambda settings: Rn50())
    result = run(imagenet(tmp_path), datasets="imagenet")
    assert result.exit_code == IN_PART
    assert "published 60.33 for RN50/openai: off by" in result.stderr
    assert "> **WARNING: imagenet" in (tmp_path / "out" / "summary.md").read_text()
    part = run(tmp_path, "--test-limit", "1", "--out", str(tmp_path / "part"), datasets="imagenet")
    assert part.exit_code == 0


def test_prompts_are_templates_or_features(tmp_path: Path) -> None:
    assert read_prompts(None) == (None, None)
    (tmp_path / "p.txt").write_text("a {}.\nthe {}.\n")
    assert read_prompts(tmp_path / "p.txt") == (("a {}.", "the {}."), None)
    path = tmp_path / "p.safetensors"
    save_file({"features": torch.eye(2)}, path, {"labels": '["a", "b"]'})
    templates, features = read_prompts(path)
    assert templates is None
    assert features is not None
    assert list(features) == ["a", "b"]
