"""The fused head: terms that add up, reasons that add up, and Tip-Adapter as a special case."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.baselines.cache import CacheClassifier
from adapter.fit import Fit
from adapter.fitting import paper_fit
from adapter.gaussian import Distances, Spectrum
from adapter.head import Head, Hits, Scores
from adapter.learned import PaperNumbers
from adapter.networks import Networks
from adapter.support import SupportSet
from adapter.text_pairs import TextPairs
from tests.adapter.fused_reference import (
    in_float32,
    moved_networks,
    reference_terms,
    shot_ids,
    young_caches,
)
from tests.adapter.support_sets import random_support

FULL = Fit(
    method="full",
    image_sharpness=5.0,
    text_sharpness=3.0,
    zero_shot_weight=0.4,
    image_weight=0.7,
    text_weight=0.2,
    gaussian_weight=0.05,
    gaussian_ridges=[0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
    offsets={"class 0": 0.5, "class 1": -0.25},
)


def queries(support: SupportSet, count: int = 5, seed: int = 1) -> torch.Tensor:
    """(count, D) unit vectors."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, support.keys.shape[1], generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(noise, dim=1)


def exact(support: SupportSet, features: torch.Tensor) -> tuple[Hits, Hits]:
    """All similarities; the text space is the embedding space itself."""
    return Hits(features @ support.keys.T), Hits(features @ support.texts.T)


def top(hits: Hits, k: int) -> Hits:
    """The k best of exact hits, as an index would give them."""
    values, rows = hits.similarity.topk(k, dim=1)
    return Hits(values, rows)


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(0, 6), min_size=1, max_size=8), seed=st.integers(0, 999))
def test_logits_equal_a_loop_over_shots(counts: list[int], seed: int) -> None:
    if sum(counts) == 0:
        counts = [*counts, 1]
    support = random_support(counts, seed=seed)
    fit = Fit(**{**FULL.__dict__, "gaussian_weight": 0.0})
    features = queries(support, 3, seed)
    scores = Head.build(support, fit).score(features, *exact(support, features))

    f, keys = features.numpy(), support.keys.numpy()
    mean_count = np.mean([count for count in counts if count])
    for b in range(3):
        zero_shot = 20.0 * support.classifier.numpy() @ f[b]
        for c, label in enumerate(support.labels):
            # A class with nothing but a name keeps all of its zero-shot logit.
            expected = (0.4 if counts[c] else 1.0) * (zero_shot[c] - zero_shot.mean())
            expected += fit.offsets.get(label, 0.0)
            for i in np.flatnonzero(support.targets.numpy() == c):
                image = np.exp(-5.0 * (1 - f[b] @ keys[i]))
                text = np.exp(-3.0 * (1 - f[b] @ support.texts[c].numpy()))
                expected += (0.7 * image + 0.2 * text) * mean_count / counts[c]
            assert float(scores.logits[b, c]) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    counts=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    cache_weight=st.floats(0.0, 10.0),
    image_ratio=st.floats(0.0, 1.0),
    seed=st.integers(0, 999),
)
def test_the_published_form_equals_a_loop_over_shots(
    counts: list[int], cache_weight: float, image_ratio: float, seed: int
) -> None:
    support = random_support(counts, seed=seed)
    fit = Fit(
        method="paper",
        image_sharpness=5.5,
        text_sharpness=2.0,
        image_weight=cache_weight * image_ratio,
        text_weight=cache_weight * (1 - image_ratio),
    )
    features = queries(support, 2, seed)
    scores = Head.build(support, fit).score(features, *exact(support, features))
    f, keys, texts = features.numpy(), support.keys.numpy(), support.texts.numpy()
    for b in range(2):
        expected = 20.0 * support.classifier.numpy() @ f[b]
        for i, target in enumerate(support.targets.tolist()):
            image = np.exp(-5.5 * (1 - f[b] @ keys[i]))
            text = np.exp(-2.0 * (1 - f[b] @ texts[target]))
            fused = image_ratio * image + (1 - image_ratio) * text
            expected[target] += cache_weight * fused * np.mean(counts) / counts[target]
        np.testing.assert_allclose(scores.logits[b].numpy(), expected, rtol=1e-9, atol=1e-9)


def test_contributions_of_a_class_sum_to_its_cache_terms() -> None:
    support = random_support([3, 1, 0, 5])
    features = queries(support)
    scores = Head.build(support, FULL).score(features, *exact(support, features))
    for b in range(len(features)):
        sums = torch.zeros(4, dtype=torch.float64)
        for reason in scores.explain(b, 100):
            sums[support.targets[reason.row]] += reason.contribution
        expected = scores.terms["image_cache"][b] + scores.terms["text_cache"][b]
        torch.testing.assert_close(sums, expected)


def test_reasons_come_nearest_first_and_no_more_than_asked() -> None:
    support = random_support([2, 6])
    features = queries(support, 1)
    scores = Head.build(support, FULL).score(features, *exact(support, features))
    given = [reason.row for reason in scores.explain(0, 3)]
    everything = [reason.row for reason in scores.explain(0, 100)]
    assert given == (features @ support.keys.T)[0].argsort(descending=True)[:3].tolist()
    assert sorted(everything) == list(range(8))


def test_top_k_of_everything_equals_exact() -> None:
    support = random_support([3, 2, 6])
    features = queries(support)
    image, text = exact(support, features)
    head = Head.build(support, FULL)
    all_hits = head.score(features, top(image, 11), top(text, 3))
    torch.testing.assert_close(all_hits.logits, head.score(features, image, text).logits)
    found = {(r.row, round(r.contribution, 9)) for r in all_hits.explain(2, 11)}
    expected = head.score(features, image, text).explain(2, 11)
    assert found == {(r.row, round(r.contribution, 9)) for r in expected}


def test_without_text_it_is_tip_adapter_exactly() -> None:
    support = random_support([4, 4, 4])
    alpha, beta = 1.3, 5.5
    fit = Fit(method="paper", image_sharpness=beta, image_weight=alpha, text_weight=0.0)
    features = queries(support)
    one_hot = torch.nn.functional.one_hot(support.targets, 3).double()
    published = 20.0 * features @ support.classifier.T + alpha * (
        (-(beta - beta * (features @ support.keys.T))).exp() @ one_hot
    )
    scores = Head.build(support, fit).score(features, *exact(support, features))
    torch.testing.assert_close(scores.logits, published)
    assert list(scores.terms) == ["zero_shot", "image_cache", "text_cache"]


def test_a_class_with_a_name_alone_has_its_zero_shot_term_and_its_offset() -> None:
    support = random_support([3, 0])
    features = queries(support)
    scores = Head.build(support, FULL).score(features, *exact(support, features))
    for name in ("gaussian", "image_cache", "text_cache"):
        assert (scores.terms[name][:, 1] == 0).all()
        assert (scores.terms[name][:, 0] != 0).any()
    assert scores.terms["zero_shot"][:, 1].abs().sum() > 0


def test_an_updated_head_equals_a_built_one_up_to_the_covariance() -> None:
    before, after = random_support([3, 3, 0], seed=3), random_support([3, 4, 1], seed=4)
    fit = Fit(**{**FULL.__dict__, "gaussian_weight": 0.0})
    features = queries(after)
    updated = Head.build(before, fit).updated(
        labels=after.labels,
        classifier=after.classifier,
        targets=after.targets,
        text_rows=after.text_rows,
        text_pairs=TextPairs.of(after.targets, after.text_rows, torch.float64),
        counts=after.counts,
        means=after.means,
        distances=None,
    )
    expected = Head.build(after, fit).score(features, *exact(after, features)).logits
    torch.testing.assert_close(updated.score(features, *exact(after, features)).logits, expected)


def test_a_new_class_has_a_gaussian_term_before_the_next_fit() -> None:
    before = random_support([4, 4, 0], seed=3)
    after = random_support([4, 4, 2], seed=3)
    features = queries(after)
    head = Head.build(before, FULL)
    assert head.distances is not None
    updated = head.updated(
        labels=after.labels,
        classifier=after.classifier,
        targets=after.targets,
        text_rows=after.text_rows,
        text_pairs=TextPairs.of(after.targets, after.text_rows, torch.float64),
        counts=after.counts,
        means=after.means,
        distances=Distances.to(after.means, head.distances.precision),
    )
    scores = updated.score(features, *exact(after, features))
    assert (scores.terms["gaussian"][:, 2] != 0).all()


@st.composite
def fits(draw: st.DrawFn) -> Fit:
    """Numbers of every form."""
    fit = Fit(
        method="paper",
        image_sharpness=draw(st.sampled_from([0.5, 5.5, 40.0])),
        text_sharpness=draw(st.sampled_from([2.0, 20.0])),
        image_weight=draw(st.sampled_from([0.0, 0.3, 5.0])),
        text_weight=draw(st.sampled_from([0.0, 1.5])),
        gate=draw(st.sampled_from([0.0, 4.0, -2.0])),
        balance=draw(st.sampled_from(["balanced", "sum"])),
    )
    if draw(st.booleans()):
        return fit
    return replace(
        fit,
        method="full",
        zero_shot_weight=0.4,
        gaussian_weight=draw(st.sampled_from([0.0, 0.05])),
        gaussian_ridges=[0.0, 0.1, 0.02, 0.0, 0.0, 0.0],
        whitened_ridges=[0.0, 0.0, 0.05, 0.0, 0.0, 0.1],
        gaussian_origin=3.0,
        offsets={"class 0": 0.5, "class 2": -0.25},
    )


def scored(support: SupportSet, networks: Networks, fit: Fit, features: torch.Tensor) -> Scores:
    """By the head, with the keys and the queries that the networks make."""
    labels = [support.labels[target] for target in support.targets.tolist()]
    keys = networks.learned.image_keys(support.keys, labels, shot_ids(support))
    mapped, texts = networks.img2txt_net(features), networks.meta_net(support.texts)
    whitening = networks.learned.whitening
    assert whitening is not None
    head = Head.build(support, fit, whitening.to(features.dtype))
    return head.score(features, Hits(features @ keys.T), Hits(mapped @ texts.T))


@settings(max_examples=60, deadline=None)
@given(support=young_caches(), fit=fits(), seed=st.integers(0, 999))
def test_fused_logits_in_float32_equal_a_reference_in_float64(
    support: SupportSet, fit: Fit, seed: int
) -> None:
    if Spectrum.of(support).degenerate:
        fit = replace(fit, gaussian_weight=0.0)
    networks, features = moved_networks(support, seed), queries(support, 3, seed)
    expected = reference_terms(support, networks, fit, features)
    networks.meta_net.float()
    networks.img2txt_net.float()
    scores = scored(in_float32(support), networks, fit, features.float())

    assert set(scores.terms) == set(expected)
    for name, term in expected.items():
        np.testing.assert_allclose(scores.terms[name].numpy(), term, atol=1e-3, rtol=1e-5)
    fused = sum(expected.values())
    np.testing.assert_allclose(scores.logits.numpy(), fused, atol=1e-3, rtol=1e-5)
    sums = torch.stack(list(scores.terms.values())).double().sum(0)
    np.testing.assert_allclose(scores.logits.numpy(), sums.numpy(), atol=1e-4, rtol=1e-6)
    for b in range(3):
        parts = torch.zeros(support.class_count, dtype=torch.float64)
        for reason in scores.explain(b, 300):
            parts[support.targets[reason.row]] += reason.contribution
        caches = (scores.terms["image_cache"] + scores.terms["text_cache"])[b]
        np.testing.assert_allclose(parts.numpy(), caches.numpy(), atol=1e-3, rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(support=young_caches(), fit=fits(), seed=st.integers(0, 999))
def test_as_many_hits_as_shots_are_exact(support: SupportSet, fit: Fit, seed: int) -> None:
    features = queries(support, 2, seed)
    head = Head.build(support, replace(fit, gaussian_weight=0.0))
    image, text = exact(support, features)
    found = top(image, len(support.keys)), top(text, len(support.texts))
    whole, listed = head.score(features, image, text), head.score(features, *found)
    for name, term in whole.terms.items():
        torch.testing.assert_close(listed.terms[name], term)
    for b in range(2):
        by_row = {reason.row: reason for reason in whole.explain(b, 300)}
        for reason in listed.explain(b, 300):
            assert reason.contribution == pytest.approx(by_row[reason.row].contribution, rel=1e-9)


def test_hits_on_texts_that_no_shot_has_say_nothing() -> None:
    # The last two classes have a name alone: their texts are in the index all the same.
    support = random_support([3, 2, 0, 0])
    features = queries(support)
    image, text = exact(support, features)
    head = Head.build(support, FULL)
    found = head.score(features, image, top(text, 4))
    torch.testing.assert_close(found.logits, head.score(features, image, text).logits)


def test_a_gate_moves_the_answer_toward_one_cache_where_they_disagree() -> None:
    support = random_support([4, 4, 4])
    features = queries(support)
    plain = Fit(method="paper", image_weight=1.0, text_weight=1.0)
    hits = exact(support, features)
    even, gated = (
        Head.build(support, fit).score(features, *hits).terms
        for fit in (plain, replace(plain, gate=50.0))
    )
    p, r = (even[name] / even[name].sum(1, keepdim=True) for name in ("image_cache", "text_cache"))
    apart = 0.5 * (p - r).abs().sum(1) - 0.5
    share = (gated["image_cache"] / even["image_cache"])[:, 0] / 2
    torch.testing.assert_close(share, torch.sigmoid(50 * apart))
    assert share.std() > 0


def test_at_ratio_one_it_is_the_rivals_tip_adapter() -> None:
    support = random_support([3, 0, 7, 1])
    features = queries(support)
    rival = CacheClassifier(support.classifier, 20.0, support.keys, support.targets, 1.3, 5.5)
    numbers = PaperNumbers(1.3, 5.5, 2.0, image_ratio=1.0, balance="sum")
    scores = Head.build(support, paper_fit(numbers, support)).score(
        features, *exact(support, features)
    )
    assert torch.equal(scores.logits, rival.logits(features))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("gate", [0.0, 3.0])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_no_nan_in_half_precision(dtype: torch.dtype, gate: float, ratio: float) -> None:
    support = random_support([3, 0, 5])
    half = replace(
        support,
        classifier=support.classifier.to(dtype),
        keys=support.keys.to(dtype),
        texts=support.texts.to(dtype),
    )
    features = queries(support, 20).to(dtype)
    # At this sharpness most affinities of half precision are 0.
    numbers = PaperNumbers(2.0, 40.0, 40.0, ratio, gate)
    scores = Head.build(half, paper_fit(numbers, half)).score(features, *exact(half, features))
    assert scores.logits.dtype == dtype
    assert scores.logits.isfinite().all()
    assert scores.probabilities.isfinite().all()
    expected = features.double() @ support.classifier.T * 20.0
    # The caches say next to nothing; 2^-8 is bfloat16's half a digit, at logits up to 20.
    torch.testing.assert_close(scores.terms["zero_shot"].double(), expected, atol=0.3, rtol=0)
    assert all(np.isfinite(reason.contribution) for reason in scores.explain(0, 8))


def test_the_best_classes_come_by_logit() -> None:
    support = random_support([3, 3, 3, 3])
    features = queries(support)
    scores = Head.build(support, FULL).score(features, *exact(support, features))
    values, columns = scores.best(2)
    order = scores.logits.argsort(dim=1, descending=True)
    assert torch.equal(columns, order[:, :2])
    assert torch.equal(values, scores.logits.gather(1, columns))
    assert scores.best(99)[1].shape == (5, 4)


def test_the_tail_bounds_what_missing_shots_would_add() -> None:
    support = random_support([40, 3, 0, 17])
    features = queries(support)
    image, text = exact(support, features)
    head = Head.build(support, FULL)
    whole = head.score(features, image, text)
    assert torch.equal(whole.tail, torch.zeros(5, dtype=torch.float64))
    for k in (1, 10, 59):
        cut = head.score(features, top(image, k), text)
        missing = (whole.logits - cut.logits).amax(1)
        assert (missing <= cut.tail + 1e-12).all()
        # No looser than the last one found, for the shots of one class that are missing.
        assert (cut.tail <= 0.7 * 20 * whole.neighbours(k).image_affinity[:, -1] + 1e-12).all()
    assert (head.score(features, top(image, 60), text).tail == 0).all()
    assert head.score(features, top(image, 0), text).tail.shape == (5,)
