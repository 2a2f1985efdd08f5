from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from adapter.drawings import DEMO_CLASSES, EXTRA_CLASS, demo_image
from adapter.encoder import PixelEncoder
from adapter.images import open_image
from indexer import demo
from indexer.cache import Cache
from indexer.info import cache_info

ENCODER = PixelEncoder()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few images, since each takes some ms to draw."""
    monkeypatch.setattr(demo, "SHOTS", 2)
    monkeypatch.setattr(demo, "TEST_IMAGES", 2)


def test_the_demo_has_a_cache_images_to_try_and_a_class_to_teach(tmp_path: Path) -> None:
    demo.prepare_demo(tmp_path / "cache", tmp_path, ENCODER)
    info = cache_info(tmp_path / "cache")
    assert (info.classes, info.shots) == (len(DEMO_CLASSES), 2 * len(DEMO_CLASSES))
    test = sorted(
        path.relative_to(tmp_path).as_posix() for path in (tmp_path / "test").rglob("*.png")
    )
    assert test == sorted(f"test/{label}/{n}.png" for label in DEMO_CLASSES for n in range(2))
    teach = sorted((tmp_path / "teach").rglob("*.png"))
    assert [path.name for path in teach] == ["0.png", "1.png", "2.png", "3.png"]
    assert {path.parent.name for path in teach} == {EXTRA_CLASS}
    assert open_image(teach[0].read_bytes()).pixels.shape == (3, 224, 224)
    assert EXTRA_CLASS not in DEMO_CLASSES


def test_no_test_image_is_a_shot(tmp_path: Path) -> None:
    demo.prepare_demo(tmp_path / "cache", tmp_path, ENCODER)
    with Cache.open(tmp_path / "cache", ENCODER) as cache:
        shots = {info.sha256 for info in cache.shots(limit=1000).items}
    images = {hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.rglob("*.png")}
    assert not shots & images


def test_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    demo.prepare_demo(tmp_path / "cache", tmp_path, ENCODER)
    with Cache.open(tmp_path / "cache", ENCODER) as cache:
        cache.put_class("my own")
    (tmp_path / "test" / "mine.txt").write_text("mine")
    demo.prepare_demo(tmp_path / "cache", tmp_path, ENCODER)
    assert cache_info(tmp_path / "cache").classes == len(DEMO_CLASSES) + 1
    assert (tmp_path / "test" / "mine.txt").exists()


def test_an_interrupted_preparation_is_made_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = demo_image

    def stop(label: str, seed: int) -> object:
        if seed == demo.FIRST_TEST_SEED + 1:
            raise KeyboardInterrupt
        return drawn(label, seed)

    with monkeypatch.context() as broken:
        broken.setattr(demo, "demo_image", stop)
        with pytest.raises(KeyboardInterrupt):
            demo.prepare_demo(tmp_path / "cache", tmp_path, ENCODER)
    assert not (tmp_path / "test").exists()
    demo.prepare_demo(tmp_path / "cache", tmp_path, ENCODER)
    assert len(list((tmp_path / "test").rglob("*.png"))) == 2 * len(DEMO_CLASSES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "teach", "test"]
