"""From similarities to logits, with every source of evidence kept apart to the end.

The shell around the pure functions of `adapter.affinity` and `adapter.gaussian`: it holds what a
query is compared with, prepared once, and answers batches of queries.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from adapter.affinity import (
    affinity,
    balance_weights,
    centred,
    class_evidence,
    summed_affinities,
    zero_shot_logits,
)
from adapter.fit import Fit
from adapter.gate import EVEN, image_ratio
from adapter.gaussian import Distances, precision_of
from adapter.nearest import nearest
from adapter.remainder import count_by_class, evidence_of_the_rest
from adapter.support import SupportSet
from adapter.text_pairs import TextPairs


@dataclass(frozen=True)
class Hits:
    """What an index found for B queries.

    Attributes:
        similarity: (B, k) cosines.
        rows: (B, k) int64 rows of the index; None where k is all rows, in their order: exact.
    """

    similarity: Tensor
    rows: Tensor | None = None


@dataclass(frozen=True)
class Reason:
    """One shot's part in an answer; attributes as in `Neighbours`."""

    row: int
    image_affinity: float
    text_affinity: float
    contribution: float


@dataclass(frozen=True)
class Neighbours:
    """The k shots whose pictures are nearest to each of B queries, nearest first.

    Attributes:
        rows: (B, k) int64, of the image index.
        image_affinity: (B, k), exp(-beta_I (1 - cosine)) of query and image key.
        text_affinity: (B, k), likewise of the mapped query and the shot's text key.
        contribution: (B, k), what the shot adds to its class's logit.
    """

    rows: Tensor
    image_affinity: Tensor
    text_affinity: Tensor
    contribution: Tensor


@dataclass(frozen=True)
class Scores:
    """Answers to B queries over C classes.

    Attributes:
        labels: the C class names.
        terms: name -> (B, C); they add up to the logits.
        logits: (B, C).
        image: what the image index found; `text` likewise.
        weights: of the image cache and of the text cache; (B, 1) each where a gate sets them.
        head: what they were computed with.
    """

    labels: tuple[str, ...]
    terms: dict[str, Tensor]
    logits: Tensor
    image: Hits
    text: Hits
    weights: tuple[Tensor | float, Tensor | float]
    head: Head

    @cached_property
    def probabilities(self) -> Tensor:
        """(B, C): softmax of the logits."""
        return self.logits.softmax(dim=1)

    def best(self, k: int) -> tuple[Tensor, Tensor]:
        """Logits and columns (B, k) of the k best classes, best first; of all C where k > C.

        By logit: where probabilities round to 0, they tell no order.
        """
        best = self.logits.topk(min(k, len(self.labels)), dim=1)
        return best.values, best.indices

    def neighbours(self, k: int) -> Neighbours:
        """The k shots whose pictures are nearest to each query, or all found where k is more.

        Nearness, since contributions are weighed by how many shots a class has. The contributions
        of all of a class's shots sum to its image and text cache terms.
        """
        return self.head.neighbours(self, k)

    def explain(self, query: int, limit: int) -> list[Reason]:
        """The neighbours of one query, one by one."""
        found = self.neighbours(limit)
        columns = (found.rows, found.image_affinity, found.text_affinity, found.contribution)
        return [Reason(*each) for each in zip(*(c[query].tolist() for c in columns), strict=True)]

    @cached_property
    def tail(self) -> Tensor:
        """(B,): the most that shots which were not found can be wrong by in a logit; 0 where exact.

        See `Head.tail`.
        """
        return self.head.tail(self)


@dataclass(frozen=True)
class Head:
    """All that a query is compared with, for one state of the cache.

    Shapes as in `SupportSet`. Made once a change. Its tensors may be views of memory that the next
    change writes to: who answers with it computes all that an answer needs before that.

    Attributes:
        text_pairs: of `targets` and `text_rows`.
        offsets: (C,), those of `fit`.
        distances: to the class means; None where the Gaussian term is off.
    """

    labels: tuple[str, ...]
    classifier: Tensor
    logit_scale: float
    targets: Tensor
    text_rows: Tensor
    text_pairs: TextPairs
    counts: Tensor
    means: Tensor
    offsets: Tensor
    distances: Distances | None
    fit: Fit

    @classmethod
    def build(cls, support: SupportSet, fit: Fit, whitening: Tensor | None = None) -> Head:
        """Prepare `support` for queries under the numbers of `fit`.

        Args:
            support: the shots.
            fit: the numbers.
            whitening: (D, D), the adapter's own, that `fit` was fitted with.
        """
        distances = None
        if fit.gaussian_weight > 0 and len(support.keys):
            precision = precision_of(support, fit.gaussian_ridges, fit.whitened_ridges, whitening)
            distances = Distances.to(support.means, precision)
        return cls(
            labels=support.labels,
            classifier=support.classifier,
            logit_scale=support.logit_scale,
            targets=support.targets,
            text_rows=support.text_rows,
            text_pairs=TextPairs.of(support.targets, support.text_rows, support.classifier.dtype),
            counts=support.counts,
            means=support.means,
            offsets=_offsets(support.labels, fit, support.classifier),
            distances=distances,
            fit=fit,
        )

    def under(self, fit: Fit) -> Head:
        """This head under other numbers, of the same covariance."""
        return replace(self, fit=fit, offsets=_offsets(self.labels, fit, self.classifier))

    def updated(
        self,
        *,
        labels: tuple[str, ...],
        classifier: Tensor,
        targets: Tensor,
        text_rows: Tensor,
        text_pairs: TextPairs,
        counts: Tensor,
        means: Tensor,
        distances: Distances | None,
    ) -> Head:
        """This head for a changed cache, under the same numbers and the same covariance.

        What a change of the cache needs before the next fit: a new shot counts at once, and
        nothing is computed here that grows with the shots.

        Args:
            labels: the same tuple as before where the classes are the same.
            classifier, targets, text_rows, text_pairs, counts, means: of all that there is now.
            distances: to all class means now, under this head's precision; None where it has none.
        """
        same = labels is self.labels and classifier.device == self.offsets.device
        return replace(
            self,
            labels=labels,
            classifier=classifier,
            targets=targets,
            text_rows=text_rows,
            text_pairs=text_pairs,
            counts=counts,
            means=means,
            offsets=self.offsets if same else _offsets(labels, self.fit, classifier),
            distances=distances,
        )

    def score(self, features: Tensor, image: Hits, text: Hits) -> Scores:
        """Fuse all sources of evidence.

        Args:
            features: (B, D) unit query features f.
            image: what the image index found for f.
            text: what the text index found for q = unit(Img2TxtNet(f)); its rows are `texts`.
        """
        zero_shot = zero_shot_logits(features, self.classifier, self.logit_scale)
        if self.fit.method == "paper":
            terms = {"zero_shot": zero_shot}
        else:
            terms = {
                "zero_shot": centred(zero_shot).mul_(self._zero_shot_weights),
                "class_offset": self.offsets.expand_as(zero_shot),
                "gaussian": self._gaussian_term(features),
            }
        by_image, by_text = self._evidence(features, image, text)
        image_weight, text_weight = self._cache_weights(by_image, by_text)
        terms["image_cache"] = image_weight * by_image
        terms["text_cache"] = text_weight * by_text
        first, second, *others = terms.values()
        logits = first + second
        for term in others:
            logits += term
        weights = (image_weight, text_weight)
        return Scores(self.labels, terms, logits, image, text, weights, self)

    def neighbours(self, scores: Scores, k: int) -> Neighbours:
        """What `Scores.neighbours` says."""
        image, weights = scores.image, scores.weights
        similarity, rows = nearest(image.similarity, k)
        if image.rows is not None:
            rows = image.rows.gather(1, rows)
        near = affinity(similarity, self.fit.image_sharpness)
        close = self._text_affinity(scores.text, rows)
        fused = weights[0] * near + weights[1] * close
        return Neighbours(rows, near, close, fused * self._balance[self.targets[rows]])

    def tail(self, scores: Scores) -> Tensor:
        """(B,): a bound on what shots that are missing from the image hits add to any logit.

        Were the hits the k nearest, each of the other shots would have at most the affinity
        exp(-beta_I (1 - s_k)) of the last of them, and a class at most all of its shots that are
        not among the hits. What the logits hold in their place lies between 0 and that, too. For
        inverted lists this holds of the shots in the lists that were looked into; of the others
        nothing is known but that their lists are further away.
        """
        hits = scores.image
        if hits.rows is None or not hits.rows.shape[1]:
            return scores.logits.new_zeros(len(scores.logits))
        found = count_by_class(self.targets[hits.rows], len(self.labels), scores.logits)
        missing = ((self.counts - found) * self._balance).amax(1)
        furthest = affinity(hits.similarity.amin(1), self.fit.image_sharpness)
        weight = scores.weights[0]
        return missing * furthest * (weight[:, 0] if isinstance(weight, Tensor) else weight)

    @cached_property
    def _zero_shot_weights(self) -> Tensor:
        """(C,)."""
        weights = self.classifier.new_tensor([1.0, self.fit.zero_shot_weight])
        return weights[(self.counts > 0).long()]

    def _gaussian_term(self, features: Tensor) -> Tensor:
        """(B, C); 0 for classes without shots."""
        if self.distances is None:
            return features.new_zeros(len(features), len(self.labels))
        distances = self.distances.of(features)
        nearness = distances.sub_(self.fit.gaussian_origin).mul_(-self.fit.gaussian_weight)
        return torch.where(self.counts > 0, nearness, 0.0)

    @cached_property
    def _balance(self) -> Tensor:
        """(C,): what makes a class's evidence independent of how many shots it has, or 1."""
        if self.fit.balance == "sum":
            return torch.ones_like(self.counts, dtype=self.classifier.dtype)
        return balance_weights(self.counts).to(self.classifier.dtype)

    def _text_affinity(self, hits: Hits, shots: Tensor) -> Tensor:
        """(B, k): affinity of each query to the texts of its shots (B, k)."""
        texts = self.text_rows[shots]
        if hits.rows is None:
            return affinity(hits.similarity.gather(1, texts), self.fit.text_sharpness)
        return self._listed(hits).gather(1, texts)

    def _listed(self, hits: Hits) -> Tensor:
        """(B, M): affinity of each query to each text; 0 for texts that were not found."""
        assert hits.rows is not None
        found = affinity(hits.similarity, self.fit.text_sharpness)
        # A column to spare: an index may know texts that no shot has.
        texts = self.text_pairs.texts_in_use
        table = found.new_zeros(len(found), texts + 1)
        return table.scatter_(1, hits.rows.clamp(max=texts), found)[:, :texts]

    def _evidence(self, features: Tensor, image: Hits, text: Hits) -> tuple[Tensor, Tensor]:
        """(B, C) of the image cache and of the text cache, balanced."""
        count = len(self.labels)
        if image.rows is None:
            by_image = summed_affinities(
                image.similarity, self.fit.image_sharpness, self.targets, count
            )
        else:
            classes = self.targets[image.rows]
            strength = affinity(image.similarity, self.fit.image_sharpness)
            by_image = class_evidence(strength, classes, count, "sum")
            if 0 < image.rows.shape[1] < len(self.targets):
                sums = self.counts * (self.means @ features.T).T
                by_image += evidence_of_the_rest(
                    image.similarity, classes, sums, self.counts, self.fit.image_sharpness
                )
        return by_image.mul_(self._balance), self._text_evidence(text).mul_(self._balance)

    def _text_evidence(self, hits: Hits) -> Tensor:
        """(B, C): a sum over (class, text) pairs, each as often as shots have it."""
        pairs = self.text_pairs
        if hits.rows is None:
            close = affinity(hits.similarity.T[pairs.texts], self.fit.text_sharpness)
        else:
            close = self._listed(hits).T[pairs.texts]
        evidence = close.new_zeros(len(self.labels), close.shape[1])
        return evidence.index_add_(0, pairs.classes, close * pairs.counts[:, None]).T

    def _cache_weights(
        self, by_image: Tensor, by_text: Tensor
    ) -> tuple[Tensor | float, Tensor | float]:
        """Of both caches: for all queries, or (B, 1) each where a gate tells them apart."""
        image, text = self.fit.image_weight, self.fit.text_weight
        if not self.fit.gate:
            return image, text
        total = image + text
        ratio = by_image.new_tensor([image / total if total else EVEN])
        gate = torch.cat([torch.logit(ratio, eps=1e-6), ratio.new_tensor([self.fit.gate])])
        gamma = image_ratio(gate, by_image, by_text)
        return total * gamma, total * (1 - gamma)


def _offsets(labels: tuple[str, ...], fit: Fit, like: Tensor) -> Tensor:
    """(C,): each class's offset, of the type and on the device of `like`."""
    return like.new_tensor([fit.offsets.get(label, 0.0) for label in labels])
