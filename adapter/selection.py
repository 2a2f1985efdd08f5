"""Numbers of the published form, chosen on the shots by leave-one-out.

Each shot is scored as a query with itself taken out of both caches, and its class counted one
shot smaller: exactly what the cache would answer had the shot never been added. No other data is
looked at. `leave_one_out_evidence` serves every method that weighs cache evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from adapter.affinity import Balance, fuse, zero_shot_logits
from adapter.learned import Modalities, PaperNumbers
from adapter.networks import Networks
from adapter.support import SupportSet

SHARPNESSES = (2.0, 5.0, 10.0, 20.0, 40.0)
IMAGE_RATIOS = (0.0, 0.25, 0.5, 0.75, 1.0)
CACHE_WEIGHTS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
"""alpha, ascending; 0 is pure zero-shot, so that the adapter cannot do worse unnoticed."""

MOST_SCORED = 640
"""More shots than this, and than there are classes, are sampled: accuracy is then known to two
points, soon."""

BLOCK = 256
"""Rows scored at once, at most."""

CELLS = 2**23
"""Affinities that are there at once, at most: rows scored times entries."""

LOSS_TOLERANCE = 1e-6
"""Losses nearer than this, relatively, are equal: rounding must not prefer a larger alpha."""


@dataclass(frozen=True)
class PaperFit:
    """Numbers of the published form. The defaults are those of a cache with nothing to leave out.

    Attributes:
        image_sharpness: beta_I (5.5 is Tip-Adapter's own starting value).
        text_sharpness: beta_T.
        image_ratio: gamma, 1 is Tip-Adapter.
        cache_weight: alpha, 0 is pure zero-shot.
        accuracy: leave-one-out accuracy on the scored shots, None where none could be scored.
        zero_shot_accuracy: of the zero-shot classifier alone on the same shots.
        scored: how many shots were scored.
        balance: of the evidence that they were chosen on.
    """

    image_sharpness: float = 5.5
    text_sharpness: float = 5.5
    image_ratio: float = 0.5
    cache_weight: float = 1.0
    accuracy: float | None = None
    zero_shot_accuracy: float | None = None
    scored: int = 0
    balance: Balance = "balanced"

    @property
    def numbers(self) -> PaperNumbers:
        """Without what is known of them."""
        return PaperNumbers(
            self.cache_weight,
            self.image_sharpness,
            self.text_sharpness,
            self.image_ratio,
            balance=self.balance,
        )


@dataclass(frozen=True)
class Entries:
    """Distinct keys of a cache, P of them, each standing for one or more shots of one class.

    Attributes:
        keys: (P, d) unit rows.
        classes: (P,) int64.
        multiplicity: (P,), how many shots each stands for.
        own: (N,) int64, the entry of each shot.
    """

    keys: Tensor
    classes: Tensor
    multiplicity: Tensor
    own: Tensor

    @classmethod
    def of_images(cls, support: SupportSet, networks: Networks) -> Entries:
        """An entry a shot, its key with the residuals that later shots share."""
        own = torch.arange(len(support.keys), device=support.keys.device)
        ones = torch.ones(len(own), dtype=support.keys.dtype, device=own.device)
        keys = support.keys
        if networks.learned.moves_keys:
            labels = [support.labels[target] for target in support.targets.tolist()]
            keys = networks.learned.image_keys(keys, labels)
        return cls(keys, support.targets, ones, own)

    @classmethod
    def of_texts(cls, support: SupportSet, networks: Networks) -> Entries:
        """An entry a distinct pair of class and text, its key `unit(MetaNet(t))`."""
        pairs, own, counts = torch.unique(
            torch.stack([support.targets, support.text_rows]),
            dim=1,
            return_inverse=True,
            return_counts=True,
        )
        keys = networks.meta_net(support.texts)[pairs[1]]
        return cls(keys, pairs[0], counts.to(keys.dtype), own)


def leave_one_out_evidence(
    queries: Tensor,
    entries: Entries,
    counts: Tensor,
    sharpnesses: Sequence[float],
    *,
    rows: Tensor | None = None,
    balance: Balance = "balanced",
) -> Tensor:
    """(S, R, C): evidence for each class from all shots but the query's own, per sharpness.

    Memory is a block of queries times all entries, and the answer.

    Args:
        queries: (N, d) unit rows, one for each shot: its key, or its key through Img2TxtNet.
        entries: the cache that the shots are in.
        counts: (C,) shots of each class.
        sharpnesses: S values of beta.
        rows: (R,) the shots to score; all N if None.
        balance: of the classes; counts are those without the query's own shot.
    """
    if rows is None:
        rows = torch.arange(len(entries.own), device=queries.device)
    evidence = queries.new_empty(len(sharpnesses), len(rows), len(counts))
    for start, block in _blocks(rows, len(entries.keys)):
        # A row an entry: rows are summed much faster than columns.
        similarity = entries.keys @ queries[block].T
        own = entries.own[block][None]
        # Not subtracted from the sum: a key equal to the query would drown all others.
        others = entries.multiplicity[own] - 1
        weighted = torch.empty_like(similarity)
        for step, found in enumerate(_affinities(similarity, sharpnesses)):
            torch.mul(found, entries.multiplicity[:, None], out=weighted)
            weighted.scatter_(0, own, found.gather(0, own) * others)
            sums = queries.new_zeros(len(counts), len(block))
            sums.index_add_(0, entries.classes, weighted)
            evidence[step, start : start + len(block)] = sums.T
        if balance == "balanced":
            own_classes = entries.classes[own[0]]
            weights = leave_one_out_balance(counts, own_classes).to(evidence.dtype)
            evidence[:, start : start + len(block)] *= weights
    return evidence


def _affinities(similarity: Tensor, sharpnesses: Sequence[float]) -> Iterator[Tensor]:
    """`affinity` under each sharpness, each in the memory of the one before.

    Where a sharpness is twice the one before, by squaring.
    """
    found, before = torch.empty_like(similarity), math.nan
    for sharpness in sharpnesses:
        if sharpness == 2 * before:
            found.square_()
        else:
            torch.sub(similarity, 1, out=found).mul_(sharpness).exp_()
        before = sharpness
        yield found


def leave_one_out_balance(counts: Tensor, own_classes: Tensor) -> Tensor:
    """(R, C) float64: `balance_weights` of the counts with one shot of the own class taken off.

    Args:
        counts: (C,) shots of each class.
        own_classes: (R,) int64, the class of each left-out shot.
    """
    taught = (counts > 0).sum() - (counts[own_classes] == 1).long()
    mean = (counts.sum() - 1).double() / taught.clamp(min=1)
    weights = mean[:, None] * _reciprocal(counts)
    own = own_classes[:, None]
    return weights.scatter_(1, own, mean[:, None] * _reciprocal(counts[own] - 1))


def _reciprocal(counts: Tensor) -> Tensor:
    """Float64, of the shape of `counts`; 0 for no shots."""
    return torch.where(counts > 0, 1 / counts.clamp(min=1).double(), 0.0)


def scorable_rows(support: SupportSet, most: int | None = None) -> Tensor:
    """(R,) int64: shots of classes with two or more, an even, seeded sample where there are many.

    The only shot of its class leaves no evidence behind: to score it would say how the cache
    treats classes that it does not know.
    """
    rows = (support.counts[support.targets] > 1).nonzero()[:, 0]
    most = max(MOST_SCORED, support.class_count) if most is None else most
    if len(rows) <= most:
        return rows
    generator = torch.Generator().manual_seed(0)
    shuffled = rows[torch.randperm(len(rows), generator=generator).to(rows.device)]
    # Evenly over the classes: one that chance left out would look as if it were never right.
    by_class = shuffled[support.targets[shuffled].argsort(stable=True)]
    steps = torch.arange(most, device=rows.device) * len(rows) // most
    return by_class[steps].sort().values


def select(
    support: SupportSet,
    networks: Networks,
    balance: Balance = "balanced",
    modalities: Modalities = "auto",
) -> PaperFit:
    """Choose alpha, beta_I, beta_T and gamma from a grid, by leave-one-out on the shots.

    The best accuracy wins, then the best likelihood, then the smaller alpha. With no class of
    two shots there is nothing to leave out: the defaults of `PaperFit`.

    Args:
        support: the shots.
        networks: MetaNet and Img2TxtNet, on the support's device.
        balance: of the classes.
        modalities: both caches, or one alone.
    """
    rows = scorable_rows(support)
    if len(rows) == 0:
        ratio = {"image": 1.0, "text": 0.0}.get(modalities, 0.5)
        return PaperFit(image_ratio=ratio, balance=balance)
    with torch.no_grad():
        texts = Entries.of_texts(support, networks)
        image, text = (
            leave_one_out_evidence(
                queries, entries, support.counts, SHARPNESSES, rows=rows, balance=balance
            )
            for queries, entries in (
                (support.keys, Entries.of_images(support, networks)),
                (networks.img2txt_net(support.keys), texts),
            )
        )
        zero_shot = zero_shot_logits(support.keys[rows], support.classifier, support.logit_scale)
        chosen = best_setting(zero_shot, image, text, support.targets[rows], modalities)
        return replace(chosen, balance=balance)


def best_setting(
    zero_shot: Tensor,
    image: Tensor,
    text: Tensor,
    targets: Tensor,
    modalities: Modalities = "auto",
) -> PaperFit:
    """Search the grid; `zero_shot` (R, C), `image` and `text` (S, R, C), `targets` (R,)."""
    alone = _Setting(0, 0, 1.0, 0.0)
    correct = {alone: int(_right(zero_shot.clone(), targets).sum())}
    logits = torch.empty_like(zero_shot)
    for image_at, text_at, ratio in _combinations(modalities):
        evidence = fuse(image[image_at], text[text_at], ratio)
        for weight in CACHE_WEIGHTS[1:]:
            torch.add(zero_shot, evidence, alpha=weight, out=logits)
            setting = _Setting(image_at, text_at, ratio, weight)
            correct[setting] = int(_right(logits, targets).sum())
    most = max(correct.values())
    equals = [setting for setting, right in correct.items() if right == most]
    best = _likeliest(equals, zero_shot, image, text, targets)
    fit = PaperFit(
        cache_weight=best.cache_weight,
        accuracy=most / len(targets),
        zero_shot_accuracy=correct[alone] / len(targets),
        scored=len(targets),
    )
    if best == alone:
        return fit
    return replace(
        fit,
        image_sharpness=SHARPNESSES[best.image_at],
        text_sharpness=SHARPNESSES[best.text_at],
        image_ratio=best.image_ratio,
    )


@dataclass(frozen=True)
class _Setting:
    """A point of the grid: places of beta_I and beta_T, gamma, alpha."""

    image_at: int
    text_at: int
    image_ratio: float
    cache_weight: float


def _right(logits: Tensor, targets: Tensor) -> Tensor:
    """(R,) bool; writes to `logits`, (R, C). A tie is no right answer: which is named is chance."""
    own = logits.gather(1, targets[:, None])
    others = logits.scatter_(1, targets[:, None], -torch.inf).amax(1)
    return own[:, 0] > others


def _likeliest(
    settings: Sequence[_Setting], zero_shot: Tensor, image: Tensor, text: Tensor, targets: Tensor
) -> _Setting:
    """The setting of the smallest loss; among equal losses, of the smallest weight."""
    best, smallest = settings[0], math.inf
    for setting in settings:
        evidence = fuse(image[setting.image_at], text[setting.text_at], setting.image_ratio)
        loss = float(cross_entropy(zero_shot + setting.cache_weight * evidence, targets))
        if math.isclose(loss, smallest, rel_tol=LOSS_TOLERANCE, abs_tol=LOSS_TOLERANCE):
            better = setting.cache_weight < best.cache_weight
        else:
            better = loss < smallest
        if better:
            best, smallest = setting, loss
    return best


def _combinations(modalities: Modalities) -> Iterator[tuple[int, int, float]]:
    """Places of beta_I and beta_T, and gamma; once where one of the caches has no say."""
    places = range(len(SHARPNESSES))
    ratios = {"image": (1.0,), "text": (0.0,)}.get(modalities, IMAGE_RATIOS)
    for ratio in ratios:
        for image_at in places if ratio > 0 else places[:1]:
            for text_at in places if ratio < 1 else places[:1]:
                yield image_at, text_at, ratio


def _blocks(rows: Tensor, entries: int) -> Iterator[tuple[int, Tensor]]:
    size = max(1, min(BLOCK, CELLS // max(entries, 1)))
    for start in range(0, len(rows), size):
        yield start, rows[start : start + size]
