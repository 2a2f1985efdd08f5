"""From scores to what a person reads."""

from __future__ import annotations

import pytest
import torch

from adapter.fit import Fit
from adapter.head import Head, Hits, Scores
from adapter.support import SupportSet
from service.answers import verdicts, written
from service.inputs import ClassifyQuery
from service.schemas import Neighbor, Prediction, Verdict


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


def models(found: Scores, query: ClassifyQuery, row: int) -> Verdict:
    """What the answer to one row says, number by number."""
    logits, probabilities = found.logits[row].tolist(), found.probabilities[row].tolist()
    best = sorted(range(len(logits)), key=lambda column: -logits[column])[: query.top_k]
    terms = {name: term[row].tolist() for name, term in found.terms.items()}
    reasons = found.explain(row, query.explain)
    confidence = max(probabilities)
    unknown = confidence < query.min_confidence
    return Verdict(
        label=None if unknown else found.labels[best[0]],
        confidence=confidence,
        unknown=unknown,
        predictions=[
            Prediction(
                label=found.labels[column],
                probability=probabilities[column],
                logit=logits[column],
                terms={name: term[column] for name, term in terms.items()},
            )
            for column in best
        ],
        neighbors=[
            Neighbor(
                shot_id=f"shot{reason.row}",
                label=found.labels[int(found.head.targets[reason.row])],
                image_affinity=reason.image_affinity,
                text_affinity=reason.text_affinity,
                contribution=reason.contribution,
            )
            for reason in reasons
        ],
        tail_bound=float(found.tail[row]),
    )


@pytest.mark.parametrize(
    "queries",
    [
        [ClassifyQuery(top_k=2, explain=3)] * 2,
        [ClassifyQuery(top_k=1, explain=0), ClassifyQuery(top_k=9, explain=9)],
        [ClassifyQuery(min_confidence=1.0), ClassifyQuery(explain=0)],
    ],
)
def test_the_bytes_are_those_of_the_models(queries: list[ClassifyQuery]) -> None:
    given = scores()
    found = verdicts(given, queries, ids)
    for row, (query, verdict) in enumerate(zip(queries, found, strict=True)):
        expected = models(given, query, row)
        assert Verdict.model_validate_json(written(verdict)) == expected
        assert written(verdict) == expected.model_dump_json().encode()


def test_each_query_gets_as_much_as_it_wants() -> None:
    first, second = verdicts(
        scores(), [ClassifyQuery(top_k=1, explain=0), ClassifyQuery(top_k=9, explain=9)], ids
    )
    assert first["label"] == "a"
    assert len(first["predictions"]) == 1
    assert first["neighbors"] == []
    # c has no shot and is the query's own direction of the zero-shot classifier.
    assert second["predictions"][0]["label"] == "c"
    assert len(second["predictions"]) == 3
    assert {each["shot_id"] for each in second["neighbors"]} == {"shot0", "shot1", "shot2"}


def test_an_unsure_answer_is_unknown() -> None:
    (sure, _) = verdicts(scores(), [ClassifyQuery()] * 2, ids)
    limit = ClassifyQuery(min_confidence=min(1.0, sure["confidence"] + 1e-6))
    (unsure, _) = verdicts(scores(), [limit, limit], ids)
    assert (unsure["label"], unsure["unknown"]) == (None, True)
    assert unsure["confidence"] == sure["confidence"]


def test_where_the_index_left_shots_out_the_answer_bounds_them() -> None:
    exact = scores()
    image = exact.image.similarity
    few = Hits(image[:, :1], torch.zeros(2, 1, dtype=torch.int64))
    found = exact.head.score(torch.eye(4)[[0, 2]], few, exact.text)
    bounds = [each["tail_bound"] for each in verdicts(found, [ClassifyQuery()] * 2, ids)]
    assert bounds == pytest.approx(found.tail.tolist())
    assert min(bounds) > 0
    assert verdicts(exact, [ClassifyQuery()] * 2, ids)[0]["tail_bound"] == 0


def test_what_is_no_number_is_null() -> None:
    assert written({"a": float("nan"), "b": [float("inf"), 0.5]}) == b'{"a":null,"b":[null,0.5]}'
