"""From scores to what a person reads."""

from __future__ import annotations

import pytest
import torch

from adapter.fit import Fit
from adapter.head import Head, Hits, Scores
from adapter.support import SupportSet
from service.answers import verdicts
from service.inputs import ClassifyQuery


def scores() -> Scores:
    """Three classes and three shots in four dimensions; two queries, like shot 0 and shot 2."""
    support = SupportSet(
        labels=("a", "b", "c"),
        classifier=torch.eye(4)[:3],
        logit_scale=10.0,
        keys=torch.eye(4)[:3],
        targets=torch.tensor([0, 0, 1]),
        texts=torch.eye(4)[:2],
        text_rows=torch.tensor([0, 0, 1]),
    )
    head = Head.build(support, Fit(method="paper"))
    queries = torch.eye(4)[[0, 2]]
    return head.score(queries, Hits(queries @ support.keys.T), Hits(queries @ support.texts.T))


def ids(rows: object) -> list[str]:
    assert isinstance(rows, list)
    return [f"shot{row}" for row in rows]


def test_each_query_gets_as_much_as_it_wants() -> None:
    first, second = verdicts(
        scores(), [ClassifyQuery(top_k=1, explain=0), ClassifyQuery(top_k=9, explain=9)], ids
    )
    assert first.label == "a"
    assert len(first.predictions) == 1
    assert first.neighbors == []
    # c has no shot and is the query's own direction of the zero-shot classifier.
    assert second.predictions[0].label == "c"
    assert len(second.predictions) == 3
    assert {each.shot_id for each in second.neighbors} == {"shot0", "shot1", "shot2"}


def test_numbers_are_those_of_the_scores() -> None:
    found = scores()
    (verdict, _) = verdicts(found, [ClassifyQuery(top_k=3, explain=3)] * 2, ids)
    for each in verdict.predictions:
        column = found.labels.index(each.label)
        assert each.logit == pytest.approx(float(found.logits[0, column]))
        assert each.probability == pytest.approx(float(found.probabilities[0, column]))
        assert list(each.terms) == ["zero_shot", "image_cache", "text_cache"]
    labels = {each.shot_id: each.label for each in verdict.neighbors}
    assert labels == {"shot0": "a", "shot1": "a", "shot2": "b"}
    assert verdict.neighbors[0].shot_id == "shot0"


def test_an_unsure_answer_is_unknown() -> None:
    (sure, _) = verdicts(scores(), [ClassifyQuery()] * 2, ids)
    limit = ClassifyQuery(min_confidence=min(1.0, sure.confidence + 1e-6))
    (unsure, _) = verdicts(scores(), [limit, limit], ids)
    assert (unsure.label, unsure.unknown) == (None, True)
    assert unsure.confidence == sure.confidence
