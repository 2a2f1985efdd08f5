"""From scores to the bytes of an answer: classes with their terms, shots with their shares.

In two steps. `verdicts` takes what is to be shown out of the tensors, for all images of a batch
at once, and must come before the cache changes. `written` makes JSON of that, in one go and
without a model for each class and shot, at any time and in any thread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from pydantic_core import to_json
from torch import Tensor

from adapter.head import Scores
from service.inputs import ClassifyQuery

ShotIds = Callable[[Sequence[int]], Sequence[str]]
Document = dict[str, Any]
"""An object of the API, with the members that `service.schemas` gives it."""


def verdicts(scores: Scores, queries: Sequence[ClassifyQuery], shot_ids: ShotIds) -> list[Document]:
    """One `Verdict` a row of `scores`, each as much of it as its query wants.

    Args:
        scores: of B images, on any device.
        queries: B of them.
        shot_ids: the ids of rows of the image index.
    """
    made: dict[int, Document] = {}
    tails = scores.tail.tolist()
    # Apart, since one caller's thousand classes need not be looked up for all others.
    for (top_k, explain), rows in _alike(queries).items():
        predictions = _predictions(scores, rows, top_k)
        neighbors = _neighbors(scores, rows, explain, shot_ids)
        for row, best, nearest in zip(rows, predictions, neighbors, strict=True):
            confidence = best[0]["probability"]
            unknown = confidence < queries[row].min_confidence
            made[row] = {
                "label": None if unknown else best[0]["label"],
                "confidence": confidence,
                "unknown": unknown,
                "predictions": best,
                "neighbors": nearest,
                "tail_bound": tails[row],
            }
    return [made[row] for row in range(len(queries))]


def written(document: Document) -> bytes:
    """`document` as JSON. What is no number is null: JSON has no word for it."""
    return to_json(document, inf_nan_mode="null")


def _alike(queries: Sequence[ClassifyQuery]) -> Mapping[tuple[int, int], list[int]]:
    """The rows that want equally much."""
    rows: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, query in enumerate(queries):
        rows[query.top_k, query.explain].append(row)
    return rows


def _chosen(values: Tensor, rows: list[int]) -> Tensor:
    """These rows; most often they are all."""
    return values if len(rows) == len(values) else values[rows]


def _predictions(scores: Scores, rows: list[int], top_k: int) -> list[list[Document]]:
    """The best classes of each of these rows."""
    logits, columns = (_chosen(each, rows) for each in scores.best(top_k))
    names = list(scores.terms)
    parts = [_chosen(term, rows).gather(1, columns) for term in scores.terms.values()]
    probabilities = _chosen(scores.probabilities, rows).gather(1, columns)
    values = zip(
        columns.tolist(),
        probabilities.tolist(),
        logits.tolist(),
        torch.stack(parts, dim=2).tolist(),
        strict=True,
    )
    return [
        [
            {
                "label": scores.labels[column],
                "probability": probability,
                "logit": logit,
                "terms": dict(zip(names, terms, strict=True)),
            }
            for column, probability, logit, terms in zip(*row, strict=True)
        ]
        for row in values
    ]


def _neighbors(
    scores: Scores, rows: list[int], limit: int, shot_ids: ShotIds
) -> list[list[Document]]:
    """The nearest shots of each of these rows."""
    if not limit or not len(scores.head.targets):
        return [[] for _ in rows]
    nearest = scores.neighbours(limit)
    shots = _chosen(nearest.rows, rows)
    values = zip(
        shots.tolist(),
        scores.head.targets[shots].tolist(),
        _chosen(nearest.image_affinity, rows).tolist(),
        _chosen(nearest.text_affinity, rows).tolist(),
        _chosen(nearest.contribution, rows).tolist(),
        strict=True,
    )
    return [
        [
            {
                "shot_id": shot_id,
                "label": scores.labels[target],
                "image_affinity": image,
                "text_affinity": text,
                "contribution": contribution,
            }
            for shot_id, target, image, text, contribution in zip(shot_ids(own), *row, strict=True)
        ]
        for own, *row in values
    ]
