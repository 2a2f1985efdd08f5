"""Inverted lists against the exact answer, for a cache of a million keys."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.performance.features import CLIP_LIKE, ISOTROPIC, World
from benchmarks.performance.group import Group, Setting
from benchmarks.performance.heads import FITS, Numbers
from benchmarks.performance.lists import RECALLED, Search, lists_against_exact
from benchmarks.performance.results import Found
from benchmarks.performance.row import Row

SHOTS, HARD_SHOTS = 1_000_000, 200_000
SEED = 11
"""Not the one that the index's settings were chosen with."""

QUERIES = 1_024

SPEED = Row(
    "search: 1,000,000 keys in lists against exact, 64 queries", "ms", "lower", "ratio >= 20"
)
SAME: dict[Numbers, Row] = {
    each: Row(f"search: the same best class as exact, {each}", "%", "higher", "ours >= 99.5")
    for each in FITS
}
RIGHT = Row("search: the right class, full, lists against exact", "%", "higher")
RECALL = {k: Row(f"search: of the {k} nearest shots found", "%", "higher") for k in RECALLED}
MADE = Row("search: training and filling the lists", "s", "lower")
HARD_SPEED = Row(
    f"search, harder features: {HARD_SHOTS:,} keys in lists against exact", "ms", "lower"
)
HARD_SAME: dict[Numbers, Row] = {
    each: Row(f"search, harder features: the same best class as exact, {each}", "%", "higher")
    for each in FITS
}
ROWS = (SPEED, *SAME.values(), RIGHT, *RECALL.values(), MADE, HARD_SPEED, *HARD_SAME.values())


def measure(setting: Setting) -> Iterator[Found]:
    """Features like a CLIP's first, then harder ones, of which there are fewer for want of time."""
    yield from realistic(_search(setting, SHOTS, CLIP_LIKE))
    found = _search(setting, HARD_SHOTS, ISOTROPIC)
    yield HARD_SPEED.measured(found.contest.ours, found.contest.theirs, _said(found))
    yield from _same(HARD_SAME, found)


def realistic(found: Search) -> Iterator[Row]:
    """The rows of the features that the goals count on."""
    yield SPEED.measured(found.contest.ours, found.contest.theirs, _said(found))
    yield from _same(SAME, found)
    ours, theirs = found.agreement["full"].right
    yield RIGHT.measured([100 * ours], [100 * theirs])
    for k, row in RECALL.items():
        yield row.measured([100 * found.recall[k]])
    seconds = found.train_seconds + found.add_seconds
    yield MADE.measured([seconds], note=f"{found.train_seconds:.0f} s of it training")


def _same(rows: dict[Numbers, Row], found: Search) -> Iterator[Row]:
    for each, row in rows.items():
        agreement = found.agreement[each]
        said = f"of {QUERIES:,} queries; tail bound {agreement.tail:.3g}, median"
        yield row.measured([100 * agreement.same_top], note=said)


def _search(setting: Setting, shots: int, world: World) -> Search:
    return lists_against_exact(
        20_000 if setting.quick else shots, SEED, world=world, queries=QUERIES
    )


def _said(found: Search) -> str:
    return f"{found.probes} of {found.lists} lists are looked into"


GROUP = Group("search", 80, ROWS, measure)
