"""A cache across restarts, kills, and files that are not what they were."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from adapter.encoder import PixelEncoder
from adapter.networks import Networks
from indexer.cache import Cache, NewShot
from indexer.errors import (
    CacheDamaged,
    CacheMismatch,
    CacheMissing,
)
from indexer.index import IndexKind
from indexer.info import cache_info
from indexer.reader import FILE
from tests.indexer.helpers import WIDTH, best, directions, near, new_shot, new_shots, teach_three

ENCODER = PixelEncoder()
# Sums of a few hundred float32 products in another order.
TOLERANCE = 1e-4


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache.open(tmp_path / "cache", ENCODER) as cache:
        yield cache


@pytest.mark.parametrize("index", ["numpy", "faiss-flat", "faiss-ivf"])
def test_a_reopened_cache_answers_the_same_and_can_be_taught(
    tmp_path: Path, index: IndexKind
) -> None:
    """Fewer shots than an inexact index weighs, so that all kinds must agree."""
    queries = directions(5, seed=77)
    with Cache.open(tmp_path, ENCODER, index=index) as cache:
        teach_three(cache)
        cache.put_class("name alone")
        cache.add("cow", [new_shot(900, near=2, caption="a brown cow")])
        cache.forget(cache.shots("ant").items[0].shot_id)
        cache.refit()
        before = cache.classify(queries)
        version = cache.version
    with Cache.open(tmp_path, ENCODER, index=index) as cache:
        assert cache.index == index
        assert (cache.version, cache.fitted_version) == (version, version)
        after = cache.classify(queries)
        assert after.labels == before.labels
        torch.testing.assert_close(after.logits, before.logits, atol=TOLERANCE, rtol=TOLERANCE)
        cache.add("dog", new_shots(range(400, 406), near=7))
        assert best(cache, near(7)) == ["dog"]
    with Cache.open(tmp_path, ENCODER, index="numpy") as cache:
        assert cache.classify(queries).logits.shape == (5, 5)


def test_kinds_of_index_answer_alike(tmp_path: Path) -> None:
    queries = directions(5, seed=77)
    with Cache.open(tmp_path, ENCODER) as cache:
        for number in range(4):
            cache.add(f"class {number}", new_shots(range(1000 * number, 1000 * number + 50)))
        cache.refit()
        expected = cache.classify(queries)
    kinds: list[IndexKind] = ["numpy", "faiss-ivf"]
    for kind in kinds:
        with Cache.open(tmp_path, ENCODER, index=kind) as cache:
            scores = cache.classify(queries)
            torch.testing.assert_close(
                scores.logits, expected.logits, atol=TOLERANCE, rtol=TOLERANCE
            )


def test_thumbnails_and_views_are_kept(cache: Cache) -> None:
    shot = NewShot(directions(1, 1)[0], "ab", None, b"webp", directions(10, 2))
    added = cache.add("ant", [shot, new_shot(2)])
    assert cache.thumbnail(added.shot_ids[0]) == b"webp"
    assert cache.thumbnail(added.shot_ids[1]) is None
    assert cache.find("ab") == (added.shot_ids[0], "ant")
    assert cache.find("cd") is None


def test_another_model_is_a_mismatch_that_names_both(tmp_path: Path) -> None:
    Cache.open(tmp_path, ENCODER).close()
    other = PixelEncoder(width=48)
    other.name = "another-model"
    with pytest.raises(CacheMismatch, match=r"pixel-encoder.*another-model"):
        Cache.open(tmp_path, other)
    Cache.open(tmp_path, ENCODER).close()


def test_templates_are_remembered_and_others_are_a_mismatch(tmp_path: Path) -> None:
    with Cache.open(tmp_path, ENCODER, templates=["{} texture."]) as cache:
        cache.put_class("dotted")
    with Cache.open(tmp_path, ENCODER) as cache:
        assert cache.info().templates == ("{} texture.",)
        cache.put_class("striped")
        expected = ENCODER.encode_texts(["dotted texture.", "striped texture."])
        torch.testing.assert_close(cache.support().support.classifier, expected)
    with pytest.raises(CacheMismatch, match="texture"):
        Cache.open(tmp_path, ENCODER, templates=["a photo of a {}."])


def test_no_cache_is_made_where_none_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(CacheMissing, match="nowhere"):
        Cache.open(tmp_path / "nowhere", ENCODER, create=False)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("size", [0, 100, 5000, 20_000])
def test_a_truncated_cache_is_damaged(tmp_path: Path, size: int) -> None:
    with Cache.open(tmp_path, ENCODER) as cache:
        cache.add("ant", new_shots(range(200)))
    data = (tmp_path / FILE).read_bytes()
    assert len(data) > size
    (tmp_path / FILE).write_bytes(data[:size])
    with pytest.raises(CacheDamaged, match="backup"):
        Cache.open(tmp_path, ENCODER)
    # And whoever repairs it finds nothing locked.
    (tmp_path / FILE).write_bytes(data)
    with Cache.open(tmp_path, ENCODER) as cache:
        assert cache.info().shots == 200


def test_networks_from_a_file_are_used(tmp_path: Path) -> None:
    Networks.initial(WIDTH, 16, seed=9).save(tmp_path / "n.safetensors")
    queries = directions(3, seed=1)
    with Cache.open(tmp_path / "c", ENCODER) as cache:
        teach_three(cache)
        untrained = cache.classify(queries)
        assert cache.info().networks is None
    with Cache.open(tmp_path / "c", ENCODER, networks=tmp_path / "n.safetensors") as cache:
        trained = cache.classify(queries)
        assert cache.info().networks == tmp_path / "n.safetensors"
    torch.testing.assert_close(trained.image.similarity, untrained.image.similarity)
    # The numbers of the one are not those of the other, and each finds its own again.
    assert cache_info(tmp_path / "c").fitted_version == 0
    with Cache.open(tmp_path / "c", ENCODER, networks=tmp_path / "n.safetensors") as cache:
        assert cache.fitted_version == cache.version
    assert not torch.allclose(trained.text.similarity, untrained.text.similarity, atol=1e-3)


TEACH = """
import sys
from pathlib import Path
from adapter.encoder import PixelEncoder
from indexer.cache import Cache
from tests.indexer.helpers import best, near, teach_three, new_shots

cache = Cache.open(Path(sys.argv[1]), PixelEncoder())
for start in range(0, 10**6, 2):
    added = cache.add(f"class {start % 7}", new_shots([start, start + 1]))
    print(*added.shot_ids, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_killed_process_loses_no_acknowledged_shot(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TEACH, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as teacher:
        assert teacher.stdout is not None
        lines = [teacher.stdout.readline() for _ in range(25)]
        teacher.send_signal(signal.SIGKILL)
        lines += teacher.stdout.readlines()
    acknowledged = {shot_id for line in lines if line.endswith("\n") for shot_id in line.split()}
    assert len(acknowledged) >= 50
    with Cache.open(tmp_path, ENCODER) as cache:
        kept = {info.shot_id for info in cache.shots(limit=10**6).items}
        assert acknowledged <= kept
        # Whole additions only: two shots each, at most one of them not acknowledged any more.
        assert len(kept) % 2 == 0
        assert len(cache.support().support.keys) == len(kept)
