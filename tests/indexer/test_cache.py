from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from adapter.encoder import PixelEncoder
from indexer.cache import Cache, NewShot
from indexer.errors import (
    EmptyCache,
    FeatureError,
    LabelConflict,
    LabelError,
    PromptError,
    UnknownClass,
    UnknownShot,
)
from tests.indexer.helpers import WIDTH, best, directions, near, new_shot, new_shots, teach_three

ENCODER = PixelEncoder()
# Sums of a few hundred float32 products in another order.
TOLERANCE = 1e-4


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache.open(tmp_path / "cache", ENCODER) as cache:
        yield cache


# A cache from nothing


def test_a_new_cache_has_nothing_to_answer_with(cache: Cache) -> None:
    assert cache.version == 0
    assert cache.method == "full"
    with pytest.raises(EmptyCache, match="teach it"):
        cache.classify(directions(1, seed=0))


def test_a_class_with_a_name_alone_is_answered_by_its_name(cache: Cache) -> None:
    info, created, _ = cache.put_class("ant", ["an {}", "ants"])
    assert (info.label, info.prompts, info.shots, created) == ("ant", ("an {}", "ants"), 0, True)
    cache.put_class("bee")
    query = ENCODER.encode_texts(["a photo of a bee."])
    scores = cache.classify(query)
    assert best(cache, query) == ["bee"]
    assert float(scores.terms["image_cache"].abs().sum()) == 0
    assert scores.explain(0, 5) == []


def test_a_shot_counts_from_the_next_answer_on(cache: Cache) -> None:
    teach_three(cache)
    cache.refit()
    assert best(cache, torch.cat([near(0), near(1), near(2)])) == ["ant", "bee", "cow"]
    fitted = cache.fitted_version
    cache.add("dog", new_shots(range(400, 406), near=7))
    assert best(cache, near(7)) == ["dog"]
    assert cache.fitted_version == fitted


def test_the_terms_sum_to_the_logits_and_the_shots_to_their_terms(cache: Cache) -> None:
    teach_three(cache)
    cache.add("cow", [new_shot(900, near=2, caption="a brown cow")])
    cache.refit()
    scores = cache.classify(torch.nn.functional.normalize(near(2), dim=1))
    torch.testing.assert_close(sum(scores.terms.values()), scores.logits)
    reasons = scores.explain(0, 1000)
    assert len(reasons) == 19
    own = set(cache.shot_ids([r.row for r in reasons]))
    listed = {info.shot_id for info in cache.shots(limit=1000).items}
    assert own == listed
    ids = {info.shot_id for info in cache.shots("cow", limit=1000).items}
    total = sum(r.contribution for r in reasons if cache.shot_ids([r.row])[0] in ids)
    expected = scores.terms["image_cache"][0, 2] + scores.terms["text_cache"][0, 2]
    assert total == pytest.approx(float(expected), rel=1e-4)


def test_rows_of_an_answer_are_the_right_shots_after_a_removal(cache: Cache) -> None:
    ids = cache.add("ant", new_shots(range(6))).shot_ids
    cache.forget(ids[1])
    query = new_shot(5).feature[None]
    nearest = cache.classify(query).explain(0, 1)[0]
    assert cache.shot_ids([nearest.row]) == [ids[5]]
    assert nearest.image_affinity == pytest.approx(1, abs=1e-4)


# Adding


def test_the_same_shot_again_is_the_one_that_there_is(cache: Cache) -> None:
    first = cache.add("ant", new_shots([1, 2]))
    again = cache.add("ant", new_shots([2, 3]))
    assert first.created == (True, True)
    assert again.created == (False, True)
    assert again.shot_ids[0] == first.shot_ids[1]
    assert (again.shots_in_class, again.version) == (3, 2)
    assert cache.add("ant", new_shots([1])).version == 2
    assert cache.info().shots == len(cache.support().support.keys) == 3


def test_another_label_for_the_same_shot_is_a_conflict_that_changes_nothing(cache: Cache) -> None:
    first = cache.add("ant", new_shots([1]))
    before = cache.info()
    with pytest.raises(LabelConflict) as caught:
        cache.add("bee", new_shots([2, 1]))
    assert (caught.value.shot_id, caught.value.label) == (first.shot_ids[0], "ant")
    assert cache.info() == before
    assert cache.support().support.labels == ("ant",)


def test_relabelling_by_adding_again_moves_the_shot(cache: Cache) -> None:
    first = cache.add("ant", new_shots([1, 2]))
    moved = cache.add("bee", new_shots([1]), relabel=True)
    assert (moved.shot_ids, moved.created) == (first.shot_ids[:1], (False,))
    assert cache.shot(first.shot_ids[0]).label == "bee"
    support = cache.support().support
    assert support.counts.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("label", "shot", "error"),
    [
        ("", new_shot(1), LabelError),
        ("x" * 257, new_shot(1), LabelError),
        ("a\nb", new_shot(1), LabelError),
        ("ant", NewShot(torch.full((WIDTH,), float("nan")), "a"), FeatureError),
        ("ant", NewShot(torch.ones(WIDTH + 1), "a"), FeatureError),
        ("ant", NewShot(torch.zeros(WIDTH), "a"), FeatureError),
        ("ant", NewShot(torch.ones(WIDTH), "a", "\ud800"), PromptError),
    ],
)
def test_what_cannot_be_taught_changes_nothing(
    cache: Cache, label: str, shot: NewShot, error: type[Exception]
) -> None:
    before = cache.info()
    with pytest.raises(error):
        cache.add(label, [new_shot(7), shot])
    assert cache.info() == before
    with pytest.raises(EmptyCache):
        cache.classify(directions(1, seed=0))


def test_no_shots_are_nothing_to_add(cache: Cache) -> None:
    with pytest.raises(ValueError, match="at least one shot"):
        cache.add("ant", [])


def test_what_another_has_taught_counts_for_the_next_question(cache: Cache, tmp_path: Path) -> None:
    with Cache.open(cache.path, ENCODER) as other:
        teach_three(other)
        other.refit()
        cache.refit()
        assert best(cache, torch.cat([near(0), near(2)])) == ["ant", "cow"]
        cache.delete_class("ant")
        assert other.classify(near(0)).labels == ("bee", "cow")
        assert (other.answered_version, other.version, cache.version) == (4, 4, 4)
        shot_id = other.add("bee", new_shots([60], near=1)).shot_ids[0]
        rows = range(len(cache.support().support.keys))
        assert shot_id in cache.shot_ids(rows)


def test_a_group_that_fails_at_its_end_leaves_memory_as_the_store_is(cache: Cache) -> None:
    cache.add("ant", new_shots([1, 2]))

    def interrupted() -> None:
        with cache.group():
            cache.add("bee", new_shots([3]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    cache.add("cow", new_shots([4]))
    assert cache.classify(near(0)).labels == ("ant", "cow")
    assert cache.version == cache.answered_version == 2


def test_a_rollback_answers_as_then(cache: Cache) -> None:
    teach_three(cache)
    cache.refit()
    queries = torch.cat([near(0), near(1), near(2)])
    before = cache.classify(queries)
    cache.delete_class("bee")
    for info in cache.shots("ant").items:
        cache.relabel(info.shot_id, "cow")
    cache.rollback(3)
    after = cache.classify(queries)
    order = [after.labels.index(label) for label in before.labels]
    torch.testing.assert_close(after.logits[:, order], before.logits, atol=1e-4, rtol=1e-4)


def test_texts_encoded_ahead_are_not_encoded_within_the_group(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.encode_ahead(["ant"], ["red", None])
    monkeypatch.setattr(PixelEncoder, "encode_texts", lambda self, texts: torch.zeros(0, 32))
    with cache.group():
        cache.add("ant", [new_shot(1, caption="red"), new_shot(2)])
    monkeypatch.undo()
    support = cache.support().support
    expected = ENCODER.encode_texts(["red", "a photo of a ant."])
    torch.testing.assert_close(support.texts[support.text_rows], expected)


@pytest.mark.parametrize(
    "label", ["a/b", "🦊👩‍🚀", "שלום עולם", "'\"; DROP TABLE shots", "{}", "%2F", "x" * 256]
)
def test_any_label_comes_back_as_it_is(tmp_path: Path, label: str) -> None:
    with Cache.open(tmp_path, ENCODER) as cache:
        cache.add(label, new_shots([1]))
    with Cache.open(tmp_path, ENCODER) as cache:
        assert [info.label for info in cache.classes().items] == [label]
        assert cache.classify(directions(1, seed=0)).labels == (label,)
        assert [info.label for info in cache.shots(label).items] == [label]
        assert cache.delete_class(label) == (1, 2)


# Texts


def test_shots_share_the_key_of_a_text(cache: Cache) -> None:
    cache.add("ant", [new_shot(i, caption="red") for i in range(5)])
    cache.add("ant", new_shots(range(10, 15)))
    cache.add("bee", [new_shot(i, caption="red") for i in range(20, 25)])
    support = cache.support().support
    assert len(support.texts) == 2
    red = ENCODER.encode_texts(["red"])[0]
    assert sum(torch.equal(row, red) for row in support.texts[support.text_rows]) == 10


def test_shots_without_caption_follow_their_class_to_other_prompts(cache: Cache) -> None:
    cache.add("ant", [new_shot(1), new_shot(2, caption="red")])
    info, created, _ = cache.put_class("ant", ["a six-legged {}"])
    assert (info.prompts, created) == (("a six-legged {}",), False)
    support = cache.support().support
    expected = ENCODER.encode_texts(["a six-legged ant", "red"])
    torch.testing.assert_close(support.texts[support.text_rows], expected)
    torch.testing.assert_close(support.classifier[0], expected[0])
    version = cache.version
    cache.put_class("ant", ["a six-legged {}"])
    assert cache.version == version


@pytest.mark.parametrize("prompts", [[], [" "], ["x" * 2000]])
def test_prompts_that_are_none_change_nothing(cache: Cache, prompts: list[str]) -> None:
    with pytest.raises(PromptError):
        cache.put_class("ant", prompts)
    assert cache.info().classes == 0


def test_a_caption_that_only_a_duplicate_brings_can_be_used_later(cache: Cache) -> None:
    cache.add("ant", new_shots([1]))
    cache.add("ant", [new_shot(1, caption="blue")])
    cache.add("ant", [new_shot(2, caption="blue")])
    support = cache.support().support
    assert len(support.texts) == 2


# Changing


def test_a_relabelled_shot_answers_for_its_new_class(cache: Cache) -> None:
    teach_three(cache)
    for info in cache.shots("bee").items:
        moved, _ = cache.relabel(info.shot_id, "new bee")
        assert moved.label == "new bee"
    cache.refit()
    assert best(cache, near(1)) == ["new bee"]
    assert cache.class_info("bee").shots == 0
    version = cache.version
    cache.relabel(info.shot_id, "new bee")
    assert cache.version == version


def test_a_deleted_class_is_gone_with_its_shots(cache: Cache) -> None:
    teach_three(cache)
    assert cache.delete_class("ant") == (6, 4)
    assert cache.info().shots == 12
    assert cache.classify(directions(1, seed=0)).labels == ("bee", "cow")
    cache.refit()
    assert best(cache, torch.cat([near(1), near(2)])) == ["bee", "cow"]


def test_what_is_not_there_is_named_and_nothing_changes(cache: Cache) -> None:
    teach_three(cache)
    version = cache.version
    with pytest.raises(UnknownShot):
        cache.forget("nope")
    with pytest.raises(UnknownShot):
        cache.relabel("nope", "another class")
    with pytest.raises(UnknownClass, match="'ant'"):
        cache.delete_class("antt")
    with pytest.raises(UnknownShot):
        cache.thumbnail("nope")
    assert cache.version == version
    assert cache.info().classes == 3


# Fitting


def test_a_fit_of_an_older_state_counts_every_later_shot(cache: Cache) -> None:
    teach_three(cache)
    snapshot = cache.support()
    cache.add("dog", new_shots(range(400, 406), near=7))
    cache.forget(cache.shots("ant").items[0].shot_id)
    cache.install(snapshot.fit())
    assert cache.fitted_version == snapshot.version < cache.version
    assert best(cache, torch.cat([near(0), near(7)])) == ["ant", "dog"]


def test_a_fit_that_was_overtaken_is_dropped(cache: Cache) -> None:
    teach_three(cache)
    early = cache.support()
    cache.add("ant", new_shots([50], near=0))
    cache.refit()
    latest = cache.fitted_version
    cache.install(early.fit())
    assert cache.fitted_version == latest


def test_a_snapshot_does_not_follow_the_cache(cache: Cache) -> None:
    cache.add("ant", new_shots([1, 2]))
    snapshot = cache.support()
    cache.add("bee", new_shots([3]))
    cache.forget(cache.shots("ant").items[0].shot_id)
    assert snapshot.support.labels == ("ant",)
    assert snapshot.support.keys.shape == (2, WIDTH)
    torch.testing.assert_close(snapshot.support.keys[0], new_shot(1).feature)


def test_the_form_is_remembered_and_its_numbers_are_its_own(tmp_path: Path) -> None:
    with Cache.open(tmp_path, ENCODER) as cache:
        teach_three(cache)
        cache.refit()
        full = cache.info().fit
    with Cache.open(tmp_path, ENCODER, method="paper") as cache:
        assert cache.method == "paper"
        assert list(cache.classify(directions(1, seed=0)).terms) == [
            "zero_shot",
            "image_cache",
            "text_cache",
        ]
        assert cache.fitted_version == cache.version
    with Cache.open(tmp_path, ENCODER) as cache:
        assert cache.method == "paper"
    with Cache.open(tmp_path, ENCODER, method="full") as cache:
        assert cache.info().fit == full


def test_readers_on_other_threads_see_whole_additions(cache: Cache) -> None:
    cache.put_class("ant")
    done = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not done.is_set():
            items = cache.shots("ant", limit=1000).items
            if len(items) % 2 or cache.info().shots < len(items):
                wrong.append(len(items))
            wrong.extend(info for info in items[:3] if cache.shot(info.shot_id) != info)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for start in range(0, 60, 2):
        cache.add("ant", new_shots([start, start + 1]))
        cache.classify(directions(2, seed=start))
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert cache.class_info("ant").shots == 60


def test_queries_of_another_width_or_with_nan_are_refused(cache: Cache) -> None:
    cache.put_class("ant")
    with pytest.raises(FeatureError, match="width 32"):
        cache.classify(torch.ones(1, WIDTH + 1))
    with pytest.raises(FeatureError, match="finite"):
        cache.classify(torch.full((1, WIDTH), float("nan")))
    assert cache.classify(torch.zeros(0, WIDTH)).logits.shape == (0, 1)
    assert np.isfinite(cache.classify(directions(1, seed=0)).logits.numpy()).all()
