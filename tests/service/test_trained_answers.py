"""What an adapter answers in a cache that goes on changing, against the same from scratch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.nn.functional import normalize

from adapter.encoder import PixelEncoder
from adapter.fit import Method
from adapter.fitting import fit
from adapter.learned import Learned
from adapter.methods import HeadClassifier
from adapter.networks import Networks
from adapter.support import SupportSet
from adapter.training import TrainingOptions, with_text_key
from indexer.adapters import Adapters
from indexer.cache import Cache, NewShot
from indexer.training_set import read_training_set
from service.settings import Settings
from service.training import train_adapter
from tests.indexer.helpers import directions
from tests.service.serving import serving

ENCODER = PixelEncoder()
LABELS = ("ant", "bee", "cow")
QUICK = TrainingOptions(epochs=1, least_steps=4, image_ratio="gate")
"""With a gate no ratio of 0 or 1 can be chosen, which would leave one cache without a say."""


def shot(seed: int, near: int, caption: str | None = None) -> NewShot:
    """Of four views around one of some directions."""
    views = normalize(directions(1, 900 + near) + 0.2 * directions(4, seed), dim=1)
    sha256 = hashlib.sha256(f"{seed}".encode()).hexdigest()
    return NewShot(normalize(views.mean(0), dim=0), sha256, caption, views=views)


def teach(cache: Cache) -> list[str]:
    """Classes of three to five shots, some with captions, two of them alike; the shots' ids."""
    ids: list[str] = []
    for number, label in enumerate(LABELS):
        captions = ["a big one", "a big one", f"the {label}", None, None]
        shots = [shot(10 * number + at, number, captions[at]) for at in range(3 + number)]
        ids += cache.add(label, shots).shot_ids
    return ids


def queries() -> Tensor:
    return normalize(directions(12, 5) + directions(3, 6).repeat(4, 1), dim=1)


def trained(cache: Path, options: TrainingOptions, method: Method, prompts: Path | None) -> None:
    settings = Settings(method=method)
    record = train_adapter(cache, settings, options, prompts=prompts, force=True)
    assert record.published


def networks_of(cache: Path) -> Networks:
    return Adapters(cache).read(1, ENCODER.fingerprint, ENCODER.width).networks


def as_taught(cache: Path, learned: Learned) -> tuple[SupportSet, Learned]:
    """The shots as they are on disk, and `learned` with residuals of their places among these."""
    training = read_training_set(cache)
    own = {row.label: torch.tensor(row.feature) for row in training.rows.classes}
    support = training.support(ENCODER.logit_scale, {**own, **learned.class_features})
    residuals = {
        str(place): learned.shot_residuals[shot_id]
        for place, shot_id in enumerate(training.shot_ids)
        if shot_id in learned.shot_residuals
    }
    return support, replace(learned, shot_residuals=residuals)


def from_scratch(cache: Path, learned: Learned, method: Method) -> Tensor:
    """(B, C): answers to `queries` by the published adapter's two maps and `learned`."""
    support, placed = as_taught(cache, learned)
    networks = replace(networks_of(cache), learned=placed)
    with torch.no_grad():
        numbers = fit(with_text_key(support, placed.text_key), networks, method)
    return HeadClassifier.of(support, networks, numbers).logits(queries())


def assert_served(cache: Cache, method: Method, matters: Callable[[Learned], Learned]) -> None:
    """Answers are those from scratch, and other than without what is to matter."""
    learned = networks_of(cache.path).learned
    found = cache.classify(queries()).logits
    expected = from_scratch(cache.path, learned, method)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert float((from_scratch(cache.path, matters(learned), method) - expected).abs().max()) > 1e-3


def with_other_numbers(learned: Learned) -> Learned:
    assert learned.numbers is not None
    other = replace(learned.numbers, cache_weight=2 * learned.numbers.cache_weight + 1)
    return replace(learned, numbers=other)


CASES: dict[str, tuple[Method, TrainingOptions, Callable[[Learned], Learned]]] = {
    "numbers": (
        "paper",
        replace(QUICK, residual="none"),
        with_other_numbers,
    ),
    "class residuals": (
        "paper",
        replace(QUICK, residual="class"),
        lambda it: replace(it, class_residuals={}),
    ),
    "shot residuals": (
        "paper",
        replace(QUICK, residual="shot"),
        lambda it: replace(it, shot_residuals={}),
    ),
    "low rank": (
        "paper",
        replace(QUICK, residual="low-rank", rank=3),
        lambda it: replace(it, low_rank=None),
    ),
    "texts of classes": (
        "paper",
        replace(QUICK, text_key="class"),
        lambda it: replace(it, text_key="caption"),
    ),
    "conditioned texts": (
        "paper",
        replace(QUICK, text_key="conditioned"),
        lambda it: replace(it, text_key="caption"),
    ),
    "plain sum": (
        "paper",
        replace(QUICK, balance="sum", image_ratio="learned"),
        with_other_numbers,
    ),
    "whitening": ("full", QUICK, lambda it: replace(it, whitening=None)),
    "all in full": (
        "full",
        replace(QUICK, networks=True, residual="low-rank", text_key="conditioned"),
        lambda it: replace(it, low_rank=None, text_key="caption"),
    ),
}


@pytest.mark.parametrize(("method", "options", "matters"), CASES.values(), ids=CASES.keys())
def test_answers_are_those_from_scratch_whatever_is_changed(
    tmp_path: Path,
    method: Method,
    options: TrainingOptions,
    matters: Callable[[Learned], Learned],
) -> None:
    with Cache.open(tmp_path, ENCODER, method=method) as cache:
        ids = teach(cache)
        trained(tmp_path, options, method, None)
        adapter = cache.publications.newer(cache.adapter)
        assert adapter is not None
        cache.swap(cache.prepare(adapter))
        assert_served(cache, method, matters)

        cache.add("ant", [shot(70, 0, "a big one"), shot(71, 0, "a tiny one"), shot(72, 0)])
        cache.add("dog", [shot(73, 3), shot(74, 3, "a big one")])
        cache.relabel(ids[1], "cow")
        cache.relabel(ids[-1], "ant")
        cache.forget(ids[3])
        cache.put_class("bee", ["a striped {}"])
        cache.refit()
        assert_served(cache, method, matters)
    with Cache.open(tmp_path, ENCODER) as cache:
        assert cache.adapter.number == 1
        assert_served(cache, method, matters)


def test_class_features_come_with_the_adapter_and_are_for_its_classes_alone(tmp_path: Path) -> None:
    path = tmp_path / "learned.safetensors"
    rows = directions(3, 60)
    safetensors.torch.save_file({"features": rows}, path, {"labels": json.dumps(LABELS)})
    with Cache.open(tmp_path / "cache", ENCODER, method="paper") as cache:
        teach(cache)
        own = cache.classify(queries()).head.classifier
        trained(cache.path, QUICK, "paper", path)
        adapter = cache.publications.newer(cache.adapter)
        assert adapter is not None
        cache.swap(cache.prepare(adapter))
        cache.put_class("cow", ["a milky {}"])
        cache.add("dog", [shot(73, 3)])
        cache.refit()
        assert_served(cache, "paper", lambda it: replace(it, class_features={}))
        classifier = cache.classify(queries()).head.classifier
        torch.testing.assert_close(classifier[:3], rows)
        # Without that adapter the classes have their own texts again, the last prompts included.
        Adapters(cache.path).use(None)
        untrained = cache.publications.newer(cache.adapter)
        assert untrained is not None
        cache.swap(cache.prepare(untrained))
        after = cache.classify(queries()).head.classifier
        assert torch.equal(after[:2], own[:2])
        assert torch.equal(after[3], classifier[3])
        torch.testing.assert_close(after[2], ENCODER.encode_texts(["a milky cow"])[0])


@pytest.mark.parametrize("method", ["paper", "full"])
def test_over_http(tmp_path: Path, method: Method) -> None:
    with Cache.open(tmp_path, ENCODER, method=method) as cache:
        ids = teach(cache)
    options = replace(QUICK, residual="shot", text_key="conditioned", networks=True)
    trained(tmp_path, options, method, None)
    with serving(tmp_path, method=method) as service:
        embeddings = directions(2, 81).tolist()
        body = {"label": "dog", "embeddings": embeddings}
        assert service.http.post("/cache/add", json=body).status_code == 201
        patched = service.http.patch(f"/cache/shots/{ids[0]}", json={"label": "bee"})
        assert patched.status_code == 200
        assert service.http.delete(f"/cache/shots/{ids[5]}").status_code == 200
        service.settle()
        expected = from_scratch(tmp_path, networks_of(tmp_path).learned, method)
        labels = [row.label for row in read_training_set(tmp_path).rows.classes]
        for query, logits in zip(queries().tolist(), expected.tolist(), strict=True):
            answer = service.http.post("/classify", json={"embedding": query}).json()
            assert answer["adapter"] == 1
            found = {each["label"]: each["logit"] for each in answer["predictions"]}
            assert found == pytest.approx(dict(zip(labels, logits, strict=True)), abs=1e-4)
