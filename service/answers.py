"""From scores to what a person reads: classes with their terms, shots with their shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapter.head import Scores
from service.inputs import ClassifyQuery
from service.schemas import Neighbor, Prediction, Verdict

ShotIds = Callable[[Sequence[int]], Sequence[str]]


def verdicts(scores: Scores, queries: Sequence[ClassifyQuery], shot_ids: ShotIds) -> list[Verdict]:
    """One verdict a row of `scores`, each as much of it as its query wants.

    Args:
        scores: of B images, on any device.
        queries: B of them.
        shot_ids: the ids of rows of the image index.
    """
    logits = scores.logits.cpu()
    probabilities = scores.probabilities.cpu()
    terms = {name: term.cpu() for name, term in scores.terms.items()}
    found = []
    for row, query in enumerate(queries):
        # By logit: where probabilities round to 0, they tell no order.
        best = logits[row].topk(min(query.top_k, len(scores.labels))).indices.tolist()
        predictions = [
            Prediction(
                label=scores.labels[column],
                probability=float(probabilities[row, column]),
                logit=float(logits[row, column]),
                terms={name: float(term[row, column]) for name, term in terms.items()},
            )
            for column in best
        ]
        confidence = predictions[0].probability
        unknown = confidence < query.min_confidence
        found.append(
            Verdict(
                label=None if unknown else predictions[0].label,
                confidence=confidence,
                unknown=unknown,
                predictions=predictions,
                neighbors=_neighbors(scores, row, query.explain, shot_ids),
            )
        )
    return found


def _neighbors(scores: Scores, row: int, limit: int, shot_ids: ShotIds) -> list[Neighbor]:
    if not limit or not len(scores.head.targets):
        return []
    reasons = scores.explain(row, limit)
    rows = [reason.row for reason in reasons]
    targets = scores.head.targets[rows].tolist()
    return [
        Neighbor(
            shot_id=shot_id,
            label=scores.labels[target],
            image_affinity=reason.image_affinity,
            text_affinity=reason.text_affinity,
            contribution=reason.contribution,
        )
        for reason, target, shot_id in zip(reasons, targets, shot_ids(rows), strict=True)
    ]
