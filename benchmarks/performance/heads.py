"""The head against what it replaces: the dense formula, and the encoder's time.

Ours and theirs take turns in one process, so that what slows the machine down slows both down.
Shots and queries are drawn from a `World`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from adapter.fit import Fit
from adapter.gaussian import RIDGES, Distances
from adapter.head import Head, Hits, Scores
from adapter.networks import Networks
from adapter.support import SupportSet
from adapter.text_pairs import TextPairs
from benchmarks.performance.features import CLIP_LIKE, Crowd, World, balanced
from indexer.index import KeyIndex, make_index
from indexer.live import NEIGHBOURS

WIDTH, CLASSES, QUERIES = 512, 1_000, 64

SHOWN = 5
"""Classes and neighbours of an answer."""

LOGIT_SCALE = 100.0

SAMPLE = 50_000
"""Shots that the covariance of the Gaussian term is of."""

FITTED_SHOTS = 10.4
"""Shots a class that the fits saw whose numbers `FITS` has."""

Numbers = Literal["full", "paper", "paper fitted"]

FITS: dict[Numbers, Fit] = {
    "full": Fit(
        method="full",
        image_sharpness=2.0,
        image_weight=0.109,
        text_weight=0.0,
        zero_shot_weight=0.0162,
        gaussian_weight=1.06,
        gaussian_ridges=[0.6 if ridge == 1.0 else 0.0 for ridge in RIDGES],
        gaussian_origin=56.0,
    ),
    "paper": Fit(method="paper", image_sharpness=5.5, text_sharpness=5.5),
    "paper fitted": Fit(
        method="paper", image_sharpness=5.0, text_sharpness=2.0, image_weight=50.0, text_weight=0.0
    ),
}
"""`full` and `paper fitted` are what the project's own fit chose, by leave-one-out, for 10,400
shots of `CLIP_LIKE`, seed 0. `paper` has the starting values."""


def numbers_for(numbers: Numbers, shots: int) -> Fit:
    """Numbers for so many shots a class: evidence grows with them, its weight makes up for it."""
    fit = FITS[numbers]
    if numbers == "paper":
        return fit
    return replace(fit, image_weight=fit.image_weight * FITTED_SHOTS / shots)


@dataclass(frozen=True)
class Contest:
    """Milliseconds of ours and of theirs, turn by turn."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]


@dataclass(frozen=True)
class Setup:
    """A head for a crowd's shots, and queries for it.

    Attributes:
        head: over N shots.
        keys: (N, D).
        targets: (N,).
        queries: (B, D).
        truth: (B,), the queries' classes.
        networks: untrained, D to D/4.
        texts: an index of the text keys, one a class.
    """

    head: Head
    keys: Tensor
    targets: Tensor
    queries: Tensor
    truth: Tensor
    networks: Networks
    texts: KeyIndex

    @classmethod
    def of(
        cls,
        shots: int,
        fit: Fit,
        seed: int,
        *,
        world: World = CLIP_LIKE,
        queries: int = QUERIES,
        classes: int = CLASSES,
        width: int = WIDTH,
    ) -> Setup:
        """Draw shots and queries, and build the head; the covariance is of a sample of the shots.

        Args:
            shots: N.
            fit: the head's numbers.
            seed: of all that is drawn.
            world: how features are spread.
            queries: B.
            classes: C.
            width: D.
        """
        crowd = Crowd.of(world, classes, width, seed)
        targets = balanced(shots, classes, seed)
        keys = crowd.draw(targets, seed + 1)
        truth = balanced(queries, classes, seed + 2)
        networks = Networks.initial(width)
        texts = make_index(networks.width_out)
        with torch.no_grad():
            texts.add(networks.meta_net(crowd.classifier))
            head = _head(crowd.classifier, keys, targets, fit)
        return cls(head, keys, targets, crowd.draw(truth, seed + 3), truth, networks, texts)

    @torch.inference_mode()
    def answer(self, image: KeyIndex) -> Scores:
        """Scores, with the best classes, the probabilities and the neighbours made too."""
        scores = self.score(image)
        scores.best(SHOWN)
        scores.neighbours(SHOWN)
        assert scores.probabilities is not None
        return scores

    @torch.inference_mode()
    def score(self, image: KeyIndex) -> Scores:
        """Scores, with similarities from this index."""
        if image.exact:
            hits = Hits(image.similarities(self.queries))
        else:
            hits = image.search(self.queries, NEIGHBOURS)
        text = Hits(self.texts.similarities(self.networks.img2txt_net(self.queries)))
        return self.head.score(self.queries, hits, text)

    def blocks(self) -> Iterator[Setup]:
        """This setup with `QUERIES` of its queries at a time."""
        for start in range(0, len(self.queries), QUERIES):
            part = slice(start, start + QUERIES)
            yield replace(self, queries=self.queries[part], truth=self.truth[part])


def against_dense(
    numbers: Numbers, seed: int, repeats: int, *, shots: int = 16_000, classes: int = CLASSES
) -> Contest:
    """The whole head against Tip-Adapter's published formula, with its dense one-hot matrix.

    Ours is more: a text cache too, the Gaussian term in `full`, the probabilities, the best
    classes and the neighbours.
    """
    # Of weights that are not 0, so that nothing can be left out.
    fit = replace(FITS[numbers], text_weight=0.5)
    setup = Setup.of(shots, fit, seed, classes=classes)
    index = filled(make_index(WIDTH), setup.keys)
    ones = one_hot(setup.targets, classes).float()
    queries, keys, classifier = setup.queries, setup.keys, setup.head.classifier
    alpha, beta = 1.0, 5.5

    @torch.inference_mode()
    def dense() -> Tensor:
        affinity = ((-1) * (beta - beta * (queries @ keys.T))).exp()
        return LOGIT_SCALE * queries @ classifier.T + alpha * affinity @ ones

    return in_turns(lambda: setup.answer(index), dense, repeats)


def alone(
    numbers: Numbers, seed: int, repeats: int, *, shots: int = 16_000, queries: int = 32
) -> tuple[float, ...]:
    """Milliseconds of the whole head for a batch, to be set against the encoder's for as many."""
    fit = replace(FITS[numbers], text_weight=0.5)
    setup = Setup.of(shots, fit, seed, queries=queries)
    index = filled(make_index(WIDTH), setup.keys)
    return in_turns(lambda: setup.answer(index), lambda: None, repeats).ours


def in_turns(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> Contest:
    """Time both, by turns; the first turn does not count."""
    found: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 1):
        for call, times in zip((ours, theirs), found, strict=True):
            began = time.perf_counter()
            call()
            if turn:
                times.append(1000 * (time.perf_counter() - began))
    return Contest(tuple(found[0]), tuple(found[1]))


Filled = TypeVar("Filled", bound=KeyIndex)


def filled(index: Filled, keys: Tensor) -> Filled:
    """The index, with these keys (N, D) added."""
    index.add(keys)
    return index


def _head(classifier: Tensor, keys: Tensor, targets: Tensor, fit: Fit) -> Head:
    labels = tuple(f"class {at}" for at in range(len(classifier)))
    whole, sample = (
        SupportSet(
            labels, classifier, LOGIT_SCALE, keys[part], targets[part], classifier, targets[part]
        )
        for part in (slice(None), slice(SAMPLE))
    )
    built = Head.build(sample, fit)
    distances = built.distances
    return built.updated(
        labels=labels,
        classifier=classifier,
        targets=targets,
        text_rows=targets,
        text_pairs=TextPairs.of(targets, targets),
        counts=whole.counts,
        means=whole.means,
        distances=None if distances is None else Distances.to(whole.means, distances.precision),
    )
