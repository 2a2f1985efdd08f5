"""Inverted lists against all keys: time, agreement of the answers, and recall."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from adapter.fit import Fit
from adapter.head import Hits
from benchmarks.performance.features import CLIP_LIKE, World
from benchmarks.performance.heads import (
    CLASSES,
    FITS,
    WIDTH,
    Contest,
    Numbers,
    Setup,
    filled,
    in_turns,
    numbers_for,
)
from indexer.faiss_index import FaissIvfIndex, train
from indexer.index import KeyIndex, make_index
from indexer.live import NEIGHBOURS

RECALLED = (5, 100)
"""How many of the nearest shots are looked for."""


@dataclass(frozen=True)
class Agreement:
    """How far answers from lists are those of all keys.

    Attributes:
        same_top: share of the queries with the same best class.
        right: share of the queries whose best class is their own, from lists and from all keys.
        tail: median of `Scores.tail`.
    """

    same_top: float
    right: tuple[float, float]
    tail: float


@dataclass(frozen=True)
class Search:
    """Inverted lists against all keys.

    Attributes:
        contest: milliseconds of the whole head, `full`, for `QUERIES` queries: lists, all keys.
        agreement: of each kind of numbers.
        recall: k -> share of the k nearest shots that were found.
        train_seconds: to make the lists.
        add_seconds: to fill them.
        lists: how many there are.
        probes: how many of them a search looks into.
    """

    contest: Contest
    agreement: dict[Numbers, Agreement]
    recall: dict[int, float]
    train_seconds: float
    add_seconds: float
    lists: int
    probes: int


def lists_against_exact(
    shots: int,
    seed: int,
    *,
    world: World = CLIP_LIKE,
    queries: int = 1_024,
    repeats: int = 5,
    probes: int | None = None,
    classes: int = CLASSES,
) -> Search:
    """Measure inverted lists, trained on the shots themselves, against all similarities.

    Args:
        shots: N.
        seed: of all that is drawn.
        world: how features are spread.
        queries: on which answers are compared.
        repeats: of the times.
        probes: lists that a search looks into; the index's own choice if None.
        classes: C.
    """
    fits = {each: numbers_for(each, shots // classes) for each in FITS}
    setup = Setup.of(shots, fits["full"], seed, world=world, queries=queries, classes=classes)
    exact = filled(make_index(WIDTH), setup.keys)
    began = time.perf_counter()
    centroids = train(setup.keys)
    trained = time.perf_counter()
    lists = filled(FaissIvfIndex(WIDTH, centroids, probes), setup.keys)
    added = time.perf_counter()
    few = next(setup.blocks())
    contest = in_turns(lambda: few.answer(lists), lambda: few.answer(exact), repeats)
    agreement, recall = _compared(setup, fits, lists, exact)
    return Search(
        contest, agreement, recall, trained - began, added - trained, lists.lists, lists.probes
    )


def _compared(
    setup: Setup, fits: dict[Numbers, Fit], lists: KeyIndex, exact: KeyIndex
) -> tuple[dict[Numbers, Agreement], dict[int, float]]:
    """Agreement and recall over all queries of the setup, block by block."""
    tops: dict[Numbers, list[Tensor]] = {each: [] for each in fits}
    tails: dict[Numbers, list[Tensor]] = {each: [] for each in fits}
    shares: dict[int, list[float]] = {k: [] for k in RECALLED}
    for block in setup.blocks():
        nearest = Hits(exact.similarities(block.queries))
        near = lists.search(block.queries, NEIGHBOURS)
        assert near.rows is not None
        for k, found in shares.items():
            true = nearest.similarity.topk(k, dim=1).indices
            found.append(_shared(near.rows[:, :k], true))
        text = Hits(setup.texts.similarities(setup.networks.img2txt_net(block.queries)))
        for each, fit in fits.items():
            head = setup.head.under(fit)
            few, all_ = (head.score(block.queries, hits, text) for hits in (near, nearest))
            best = [scores.logits.argmax(1) for scores in (few, all_)]
            tops[each].append(torch.stack([*best, block.truth]))
            tails[each].append(few.tail)
    agreement = {
        each: _agreement(torch.cat(tops[each], 1), torch.cat(tails[each])) for each in fits
    }
    return agreement, {k: sum(found) / len(found) for k, found in shares.items()}


def _agreement(tops: Tensor, tails: Tensor) -> Agreement:
    """Of best classes (3, B): from lists, from all keys, and the truth."""
    lists, exact, truth = tops

    def share(these: Tensor, those: Tensor) -> float:
        return float((these == those).double().mean())

    right = share(lists, truth), share(exact, truth)
    return Agreement(share(lists, exact), right, float(tails.median()))


def _shared(found: Tensor, true: Tensor) -> float:
    """Of the `true` rows (B, k) the share that is among those `found` (B, k)."""
    return float((found[:, :, None] == true[:, None]).any(1).double().mean())
