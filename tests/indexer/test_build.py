from __future__ import annotations

import csv
import json
import threading
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from adapter.encoder import PixelEncoder
from adapter.images import ImageLimits, open_image, to_pixels, view_pixels
from adapter.keys import key_of_views
from indexer.build import BuildReport, build
from indexer.cache import Cache
from indexer.centroids import FILE as CENTROIDS
from indexer.errors import BadImages, CacheMismatch, SourceError
from indexer.info import cache_info
from indexer.store import Store
from tests.indexer.helpers import png

RED, GREEN, BLUE = (200, 40, 40), (40, 200, 40), (40, 40, 200)


class CountingEncoder(PixelEncoder):
    """Counts crops, and can be made to stop after some."""

    def __init__(self) -> None:
        super().__init__()
        self.crops = 0
        self.stop_after = 10**9

    def encode_images(self, pixels: Tensor) -> Tensor:
        if self.crops >= self.stop_after:
            raise KeyboardInterrupt
        self.crops += len(pixels)
        return super().encode_images(pixels)


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three classes of eight images."""
    folder = tmp_path / "source"
    for label, colour in [("red", RED), ("green", GREEN), ("blue", BLUE)]:
        (folder / label).mkdir(parents=True)
        for seed in range(8):
            (folder / label / f"{seed}.png").write_bytes(png(colour, seed))
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out" / "cache"


def keys_by_bytes(cache: Path, encoder: PixelEncoder) -> dict[str, Tensor]:
    with Cache.open(cache, encoder, create=False) as opened:
        infos = {info.shot_id: info.sha256 for info in opened.shots(limit=10**6).items}
        keys = opened.support().support.keys
        return {
            infos[each]: keys[row] for row, each in enumerate(opened.shot_ids(range(len(keys))))
        }


def test_a_folder_becomes_a_cache_that_answers(
    source: Path, target: Path, encoder: CountingEncoder
) -> None:
    report = build(source, target, encoder, views=3, batch=5)
    assert report == BuildReport(added=24, skipped=0, bad=())
    assert encoder.crops == 72
    with Cache.open(target, encoder, create=False) as cache:
        assert cache.fitted_version == cache.version
        assert {info.label: info.shots for info in cache.classes().items} == {
            "red": 8,
            "green": 8,
            "blue": 8,
        }
        query = to_pixels(open_image(png(GREEN, 99)), encoder.preprocessing)
        scores = cache.classify(encoder.encode_images(query[None]))
        assert scores.labels[int(scores.logits.argmax())] == "green"
        shot = cache.shots().items[0]
        assert (cache.thumbnail(shot.shot_id) or b"")[8:12] == b"WEBP"


def test_a_key_is_the_mean_of_views_that_its_bytes_decide(
    source: Path, target: Path, encoder: CountingEncoder
) -> None:
    build(source, target, encoder, views=4)
    with Cache.open(target, encoder) as cache:
        shot = cache.shots("red").items[0]
        image = open_image((source / "red" / "0.png").read_bytes())
        crops = view_pixels(image, encoder.preprocessing, 4, int(shot.sha256[:12], 16))
        views = encoder.encode_images(crops)
        key = keys_of(cache, shot.shot_id)
        torch.testing.assert_close(key, key_of_views(views))
        stored = cache._store.views(shot.shot_id)
        assert stored is not None
        # Kept in half precision.
        torch.testing.assert_close(torch.tensor(stored), views, atol=1e-3, rtol=0)


def test_large_jpegs_are_decoded_smaller_where_that_is_asked_for(
    tmp_path: Path, target: Path, encoder: CountingEncoder
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    (tmp_path / "images" / "noise").mkdir(parents=True)
    path = tmp_path / "images" / "noise" / "0.jpg"
    Image.fromarray(noise).save(path)
    build(tmp_path / "images", target, encoder, views=1, scaled=True)
    with Cache.open(target, encoder) as cache:
        picture = open_image(path.read_bytes(), short_edge=2 * encoder.preprocessing.size[0])
        assert picture.scale > 1
        expected = encoder.encode_images(to_pixels(picture, encoder.preprocessing)[None])[0]
        key = keys_of(cache, cache.shots().items[0].shot_id)
        torch.testing.assert_close(key, expected)


def keys_of(cache: Cache, shot_id: str) -> Tensor:
    keys = cache.support().support.keys
    return keys[cache.shot_ids(range(len(keys))).index(shot_id)]


def test_one_view_is_the_plain_centre_crop(
    source: Path, target: Path, encoder: CountingEncoder
) -> None:
    build(source, target, encoder, views=1)
    with Cache.open(target, encoder) as cache:
        shot = cache.shots("red").items[0]
        image = open_image((source / "red" / "0.png").read_bytes())
        expected = encoder.encode_images(to_pixels(image, encoder.preprocessing)[None])[0]
        torch.testing.assert_close(keys_of(cache, shot.shot_id), expected)
        assert cache._store.views(shot.shot_id) is None


@pytest.mark.parametrize("batch", [1, 7, 24, 1000])
@pytest.mark.parametrize("threads", [1, 4])
def test_neither_batches_nor_threads_change_the_keys(
    source: Path, tmp_path: Path, encoder: CountingEncoder, batch: int, threads: int
) -> None:
    build(source, tmp_path / "a", encoder, views=2)
    build(source, tmp_path / "b", encoder, views=2, batch=batch, threads=threads)
    a, b = (keys_by_bytes(tmp_path / name, encoder) for name in "ab")
    assert a.keys() == b.keys()
    for name, key in a.items():
        torch.testing.assert_close(b[name], key)


def test_large_batches_pass_the_tower_in_parts(
    source: Path, tmp_path: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(source, tmp_path / "a", encoder, views=2)
    monkeypatch.setattr("indexer.build.CROPS", 5)
    build(source, tmp_path / "b", encoder, views=2)
    a, b = (keys_by_bytes(tmp_path / name, encoder) for name in "ab")
    for name, key in a.items():
        torch.testing.assert_close(b[name], key)


@pytest.mark.parametrize("batch", [1, 100])
def test_duplicates_are_skipped_and_contradictions_reported(
    source: Path, target: Path, encoder: CountingEncoder, batch: int
) -> None:
    (source / "blue" / "copy.png").write_bytes((source / "blue" / "0.png").read_bytes())
    (source / "green" / "wrong.png").write_bytes((source / "red" / "0.png").read_bytes())
    report = build(source, target, encoder, views=1, batch=batch)
    assert (report.added, report.skipped) == (24, 1)
    # Whichever comes first is right: green comes before red.
    (bad,) = report.bad
    assert bad.name.endswith("red/0.png")
    assert "labelled 'green', got 'red'" in bad.reason


def test_bad_images_are_named_with_their_reasons_and_skipped(
    source: Path, target: Path, encoder: CountingEncoder
) -> None:
    good = png(RED, 50)
    (source / "red" / "a.jpg").write_text("not an image")
    (source / "red" / "b.png").write_bytes(good[: len(good) // 2])
    (source / "red" / "c.gif").write_bytes(b"GIF89a" + b"\0" * 20)
    (source / "red" / "d.png").write_bytes(b"")
    (source / "loose.png").write_bytes(png(RED, 51))
    report = build(source, target, encoder, views=1)
    assert report.added == 24
    reasons = {bad.name.rsplit("/", 1)[-1]: bad.reason for bad in report.bad}
    assert reasons.keys() == {"a.jpg", "b.png", "c.gif", "d.png", "loose.png"}
    assert "JPEG, PNG or WebP" in reasons["a.jpg"]
    assert "cannot be decoded" in reasons["b.png"]
    assert "GIF" in reasons["c.gif"]
    assert "no bytes" in reasons["d.png"]
    assert "no class folder" in reasons["loose.png"]
    assert all(str(source) in bad.name for bad in report.bad)


def test_limits_hold_for_files_too(source: Path, target: Path, encoder: CountingEncoder) -> None:
    (source / "red" / "large.png").write_bytes(png(RED, 60, edge=200))
    report = build(source, target, encoder, views=1, limits=ImageLimits(max_bytes=20_000))
    assert [bad.name.rsplit("/", 1)[-1] for bad in report.bad] == ["large.png"]
    assert "at most 20000 bytes" in report.bad[0].reason


def test_strict_stops_at_the_first_bad_image_and_leaves_no_cache(
    source: Path, target: Path, encoder: CountingEncoder
) -> None:
    (source / "green" / "bad.jpg").write_text("not an image")
    with pytest.raises(BadImages, match=r"green/bad\.jpg: expected a JPEG") as caught:
        build(source, target, encoder, views=1, batch=4, strict=True)
    assert caught.value.name.endswith("bad.jpg")
    assert not target.exists()
    (source / "green" / "bad.jpg").unlink()
    report = build(source, target, encoder, views=1, strict=True)
    assert report.added + report.skipped == 24
    assert report.skipped >= 8


@pytest.mark.parametrize("content", [{}, {"red/a.jpg": b"no image"}, {"notes.txt": b"x"}])
def test_nothing_usable_leaves_nothing_behind(
    tmp_path: Path, encoder: CountingEncoder, content: dict[str, bytes]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, data in content.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(data)
    with pytest.raises(SourceError, match=r"holds no images|none of 1 images can be used"):
        build(source, tmp_path / "cache", encoder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_a_cache_that_is_there_outlives_a_source_of_bad_images(
    tmp_path: Path, target: Path, encoder: CountingEncoder
) -> None:
    with Cache.open(target, encoder) as cache:
        cache.put_class("a name alone")
    (tmp_path / "source" / "red").mkdir(parents=True)
    (tmp_path / "source" / "red" / "a.jpg").write_text("no image")
    with pytest.raises(SourceError, match="none of 1 images"):
        build(tmp_path / "source", target, encoder)
    assert cache_info(target).classes == 1


def test_an_interrupted_build_leaves_no_cache_and_continues(
    source: Path, target: Path, encoder: CountingEncoder
) -> None:
    encoder.stop_after = 10
    with pytest.raises(KeyboardInterrupt):
        build(source, target, encoder, views=1, batch=5)
    assert not target.exists()
    assert not Store.exists(target)

    encoder.stop_after = 10**9
    report = build(source, target, encoder, views=1, batch=5)
    assert (report.added, report.skipped) == (14, 10)
    # Nothing is encoded twice.
    assert encoder.crops == 24
    assert cache_info(target).shots == 24
    assert [path.name for path in target.parent.iterdir()] == ["cache"]


def test_a_build_that_ends_before_its_last_step_needs_only_that(
    source: Path, target: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("indexer.build._publish", lambda work, cache: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build(source, target, encoder, views=1)
    assert not target.exists()
    assert build(source, target, encoder, views=1) == BuildReport(0, 24, ())
    assert cache_info(target).shots == 24


def test_a_cache_that_is_there_is_extended(
    source: Path, target: Path, encoder: CountingEncoder
) -> None:
    build(source, target, encoder, views=1)
    (source / "white").mkdir()
    (source / "white" / "0.png").write_bytes(png((240, 240, 240), 0))
    report = build(source, target, encoder, views=1)
    assert (report.added, report.skipped) == (1, 24)
    info = cache_info(target)
    assert (info.classes, info.shots) == (4, 25)
    assert info.fitted_version == info.version
    with pytest.raises(CacheMismatch):
        build(source, target, PixelEncoder(width=16), views=1)


def test_a_folder_that_is_there_already_takes_the_cache(
    source: Path, target: Path, encoder: CountingEncoder
) -> None:
    """As a container's volume, which cannot be replaced by another folder."""
    target.mkdir(parents=True)
    encoder.stop_after = 10
    with pytest.raises(KeyboardInterrupt):
        build(source, target, encoder, views=1, batch=5)
    assert not Store.exists(target)
    encoder.stop_after = 10**9
    build(source, target, encoder, views=1, index="faiss-ivf")
    assert cache_info(target).shots == 24
    assert not (target / "partial").exists()
    assert (target / CENTROIDS).exists()


def test_inverted_lists_are_trained_when_built(
    source: Path, target: Path, encoder: CountingEncoder
) -> None:
    build(source, target, encoder, views=1, index="faiss-ivf")
    written = (target / CENTROIDS).stat().st_mtime_ns
    with Cache.open(target, encoder, index="faiss-ivf") as cache:
        assert cache.index == "faiss-ivf"
    assert (target / CENTROIDS).stat().st_mtime_ns == written


def test_form_and_templates_are_those_of_the_build(
    source: Path, target: Path, encoder: CountingEncoder
) -> None:
    build(source, target, encoder, views=1, method="paper", templates=["a {} square"])
    info = cache_info(target)
    assert (info.method, info.templates) == ("paper", ("a {} square",))
    assert info.fit is not None
    assert info.fit.method == "paper"


def as_zip(source: Path, extra: dict[str, str]) -> Path:
    path = source.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for image in sorted(source.rglob("*.png")):
            archive.write(image, image.relative_to(source))
        for name, text in extra.items():
            archive.writestr(name, text)
    return path


def test_a_zip_gives_the_same_keys_as_its_folder(
    source: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    build(source, tmp_path / "a", encoder, views=2)
    build(as_zip(source, {}), tmp_path / "b", encoder, views=2)
    a, b = (keys_by_bytes(tmp_path / name, encoder) for name in "ab")
    assert a.keys() == b.keys()
    for name, key in a.items():
        torch.testing.assert_close(b[name], key, atol=0, rtol=0)


def test_lists_with_captions_and_labels_of_any_kind(
    source: Path, target: Path, encoder: CountingEncoder
) -> None:
    rows = [
        ("red/0.png", "part/4711", "a red one"),
        ("red/1.png", "part/4711", ""),
        ("blue/0.png", "🦊", "a red one"),
        ("blue/1.png", "שלום", ""),
        ("blue/2.png", "x" * 257, ""),
        ("blue/3.png", "bell\x07", ""),
        ("gone.png", "🦊", ""),
    ]
    with (source / "list.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "caption"), *rows])
    report = build(source / "list.csv", target, encoder, views=1)
    assert report.added == 4
    assert ["257" in bad.reason for bad in report.bad] == [True, False, False]
    assert "control" in report.bad[1].reason
    assert "No such file" in report.bad[2].reason
    with Cache.open(target, encoder) as cache:
        shots = [(info.label, info.caption) for info in cache.shots().items]
        assert shots == [
            ("part/4711", "a red one"),
            ("part/4711", None),
            ("🦊", "a red one"),
            ("שלום", None),
        ]
        # "a red one" is one key; part/4711 and שלום bring their own.
        assert len(cache.support().support.texts) == 3


def test_a_split_file_takes_its_training_part(
    source: Path, target: Path, encoder: CountingEncoder
) -> None:
    split = {
        "train": [[f"red/{i}.png", 0, "crimson"] for i in range(3)],
        "val": [],
        "test": [["blue/0.png", 1, "navy"]],
    }
    (source.parent / "split_zhou_Colours.json").write_text(json.dumps(split))
    build(source.parent / "split_zhou_Colours.json", target, encoder, views=1)
    with Cache.open(target, encoder) as cache:
        assert [(info.label, info.shots) for info in cache.classes().items] == [("crimson", 3)]


def test_nothing_is_printed_where_there_is_no_terminal(
    source: Path, target: Path, encoder: CountingEncoder, capfd: pytest.CaptureFixture[str]
) -> None:
    build(source, target, encoder, views=1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("views", "batch"), [(0, 1), (1, 0)])
def test_no_views_and_no_batch_are_refused(
    source: Path, target: Path, encoder: CountingEncoder, views: int, batch: int
) -> None:
    with pytest.raises(ValueError, match="at least one view"):
        build(source, target, encoder, views=views, batch=batch)
    assert not target.parent.exists()


def test_photographs_of_all_sizes(
    data_dir: Path, tmp_path: Path, target: Path, encoder: CountingEncoder
) -> None:
    photos: Sequence[Path] = sorted((data_dir / "photos").iterdir())[:6]
    rows = "".join(f"{path},{path.stem.replace('_', ' ')}\n" for path in photos)
    (tmp_path / "list.csv").write_text("path,label\n" + rows)
    assert build(tmp_path / "list.csv", target, encoder, views=2).added == 6


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    """The decoding threads end with the build, however it ends."""
    yield
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("xmadapter-decode")]
