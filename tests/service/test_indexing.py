"""What the command line does to caches without a service."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.encoder import PixelEncoder
from indexer.build import BuildReport
from indexer.errors import CacheMissing, SourceError
from service import indexing
from service.indexing import build_index, demo_exists, index_facts, make_demo
from service.lock import LOCK_FILE, CacheLocked, build_lock
from service.settings import Settings
from tests.service.serving import GREEN, RED, picture


@pytest.fixture(autouse=True)
def _without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "load_encoder", lambda *names, **options: PixelEncoder())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for label, colour in (("red", RED), ("green", GREEN)):
        (folder / label).mkdir(parents=True)
        for mark in range(3):
            (folder / label / f"{mark}.png").write_bytes(picture(colour, mark=mark))
    return folder


def run(source: Path, cache: Path, **options: object) -> BuildReport:
    given = {"views": 2, "batch": 4, "split": None, "strict": False, "progress": False} | options
    return build_index(source, cache, Settings(), **given)  # type: ignore[arg-type]


def test_a_cache_is_built_and_grows(source: Path, tmp_path: Path) -> None:
    cache = tmp_path / "new" / "cache"
    assert run(source, cache).added == 6
    (source / "red" / "more.png").write_bytes(picture(RED, mark=9))
    report = run(source, cache)
    assert (report.added, report.skipped) == (1, 6)
    facts = index_facts(cache)
    assert (facts["classes"], facts["shots"], facts["model"]) == (2, 7, "pixel-encoder")
    assert "notice" not in facts


def test_a_cache_that_is_being_built_is_left_alone(source: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with (
        build_lock(cache, "xmadapter index build"),
        pytest.raises(CacheLocked, match="being filled by xmadapter index build"),
    ):
        run(source, cache)
    assert [path.name for path in cache.iterdir()] == [LOCK_FILE]


def test_a_build_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="holds no images"):
        run(tmp_path / "empty", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_facts_of_no_cache(tmp_path: Path) -> None:
    with pytest.raises(CacheMissing):
        index_facts(tmp_path)


def test_the_demo_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def prepare(cache: Path, images: Path, encoder: PixelEncoder) -> None:
        made.append(cache)
        (images / "test").mkdir(parents=True)
        (images / "teach").mkdir()
        (cache / "cache.sqlite3").touch()

    monkeypatch.setattr(indexing, "prepare_demo", prepare)
    cache, images = tmp_path / "cache", tmp_path / "images"
    assert not demo_exists(cache, images)
    make_demo(Settings(cache=cache), images)
    assert demo_exists(cache, images)
    assert made == [cache]
