"""One open cache, beside what is known of what it answers with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from adapter.fit import Fit, Method
from adapter.head import Scores
from adapter.networks import Networks
from benchmarks.torture.model import lessons
from benchmarks.torture.model.expected import Answering, Towers, expected_terms
from benchmarks.torture.model.plain import Cap, Plain
from benchmarks.torture.model.product import Names, Product
from benchmarks.torture.model.twin import Twin
from indexer import records
from indexer.cache import Cache
from indexer.errors import EmptyCache
from indexer.index import IndexKind


@dataclass
class Shelf:
    """What all that have a cache open share.

    Attributes:
        folder: the cache's.
        plain: what it must hold.
        names: of its shots.
        method: the form that it was used with last.
        networks: adapter number -> its networks; None is for untrained ones.
        published: the adapter that is to serve.
        fits: the numbers that were fitted last for a form and what an adapter's file holds, and
            the version.
    """

    folder: Path
    plain: Plain = field(default_factory=lambda: Plain(lessons.feature))
    names: Names = field(default_factory=Names)
    method: Method = "full"
    networks: dict[int | None, Networks] = field(
        default_factory=lambda: {None: Networks.initial(lessons.WIDTH)}
    )
    published: int | None = None
    fits: dict[tuple[Method, bytes], tuple[Fit, int]] = field(default_factory=dict)
    towers: Towers = field(default_factory=lambda: Towers(lessons.ENCODER, lessons.TEMPLATE))

    def fit_name(self, method: Method, adapter: int | None) -> tuple[Method, bytes]:
        """Under which of `fits` the numbers are: equal networks have them in common."""
        return method, b"" if adapter is None else self.networks[adapter].content()


class Handle:
    """A cache that is open. All that is asserted here says what was expected."""

    def __init__(self, shelf: Shelf, index: IndexKind, cap: Cap | None, method: Method | None):
        """Open it, and see that it answers with the numbers that were kept, if any can be used."""
        self.shelf = shelf
        self.cache = Cache.open(
            shelf.folder,
            lessons.ENCODER,
            index=index,
            cap=None if cap is None else records.Cap(cap.most, "merge" if cap.merges else "refuse"),
            method=method,
        )
        shelf.method = method or shelf.method
        self.method: Method = shelf.method
        self.adapter = shelf.published
        self.index = index
        self.cap = cap
        self.product = Product(self.cache, shelf.names)
        self.twin = Twin(shelf.plain, cap)
        kept = shelf.fits.get(shelf.fit_name(self.method, self.adapter))
        if kept is not None and kept[0].gaussian_ridges and not shelf.plain.state.has_pairs():
            kept = None
        self._settle(shelf.plain.version if kept is None else kept[1], kept and kept[0])
        self._fitted = shelf.plain.state
        assert self.cache.index == index, f"expected {index}, got {self.cache.index}"

    def close(self) -> None:
        """Close the cache."""
        self.cache.close()

    def reopened(self) -> Handle:
        """This, closed before, open again in the same way; where the shelf says."""
        return Handle(self.shelf, self.index, self.cap, self.method)

    def refit(self) -> None:
        """Fit here and now."""
        self.cache.refit()
        self._settle(self.shelf.plain.version)
        self._fitted = self.shelf.plain.state

    def fit_late(self, meanwhile: Callable[[], None]) -> None:
        """Fit to what there is now, and use that after something else has happened."""
        snapshot, version = self.cache.support(), self.shelf.plain.version
        state, adapter = self.shelf.plain.state, self.adapter
        meanwhile()
        kept = self.shelf.fits[self.shelf.fit_name(self.method, self.adapter)]
        fitted = self.cache.fitted(snapshot)
        if kept[1] == version and adapter == self.adapter:
            assert fitted.fit == kept[0], f"expected the fit that was kept, got {fitted.fit}"
        before, known = self.cache.info().fit, self.cache.fitted_version
        self.cache.install(fitted)
        if version < known or adapter != self.adapter:
            self._settle(known, before)
        else:
            self._settle(version, fitted.fit)
            self._fitted = state

    def follow(self, meanwhile: Callable[[], None]) -> None:
        """Change to the adapter that was published, while something else happens."""
        found = self.cache.publications.newer(self.cache.adapter)
        if self.adapter == self.shelf.published:
            assert found is None, f"expected no other adapter, got {found}"
            return
        assert found is not None, f"expected adapter {self.shelf.published}, got none"
        assert found.number == self.shelf.published, f"got adapter {found.number}"
        prepared, state = self.cache.prepare(found), self.shelf.plain.state
        version = self.shelf.plain.version
        self.adapter = found.number
        self._keep(prepared.fitted.fit, version)
        meanwhile()
        self.cache.swap(prepared)
        self._settle(version, prepared.fitted.fit)
        self._fitted = state

    def classify(self, seed: int) -> None:
        """Compare every term of an answer to two queries, and each shot's part in it."""
        queries, plain = lessons.queries(seed), self.shelf.plain
        if not plain.state.classes:
            try:
                self.cache.classify(queries)
            except EmptyCache:
                return
            raise AssertionError("expected EmptyCache, got an answer")
        scores = self.cache.classify(queries)
        assert self.cache.version == plain.version, f"answered with {self.cache.version}"
        networks = self.shelf.networks[self.adapter]
        names = dict(enumerate(self.shelf.names.ids))
        answering = Answering(networks, self._fit, self._fitted, names)
        labels, terms, slack = expected_terms(plain, self.shelf.towers, answering, queries)
        assert sorted(scores.labels) == sorted(labels), f"expected {labels}, got {scores.labels}"
        assert scores.terms.keys() == terms.keys(), f"got the terms {list(scores.terms)}"
        columns = [scores.labels.index(label) for label in labels]
        for name, term in terms.items():
            found = scores.terms[name].double().numpy()[:, columns]
            off = np.abs(found - term)
            # Not >, which would let NaN pass.
            assert (off <= slack[name]).all(), (
                f"{name}: expected {term}, got {found}, at most {slack[name]} off, with {self._fit}"
            )
        self._compare_reasons(scores, slack["image_cache"][0] + slack["text_cache"][0], columns)

    def _compare_reasons(self, scores: Scores, slack: np.ndarray, columns: list[int]) -> None:
        state = self.shelf.plain.state
        reasons = scores.explain(0, len(state.places))
        shots = [
            self.shelf.names.number(shot_id)
            for shot_id in self.cache.shot_ids(reason.row for reason in reasons)
        ]
        leaders = [group[0] for group in state.groups()]
        assert sorted(shots) == leaders, f"expected the shots {leaders}, got {sorted(shots)}"
        terms = (scores.terms["image_cache"] + scores.terms["text_cache"])[0].double().numpy()
        for column, off in zip(columns, slack, strict=True):
            label = scores.labels[column]
            own = zip(shots, reasons, strict=True)
            total = sum(each.contribution for shot, each in own if state.label(shot) == label)
            assert abs(total - terms[column]) <= off, (
                f"expected the shots of {label} to add up to {terms[column]}, got {total}"
            )

    def _settle(self, version: int, fit: Fit | None = None) -> None:
        """See that these numbers are in use, and that no others are kept."""
        found = self.cache.info().fit
        assert found is not None, "expected fitted numbers, got none"
        assert fit in (None, found), f"expected the numbers {fit}, got {found}"
        assert self.cache.fitted_version == version, (
            f"expected numbers of version {version}, got {self.cache.fitted_version}"
        )
        assert self.cache.adapter.number == self.adapter, f"got adapter {self.cache.adapter.number}"
        self._fit = found
        self._keep(found, version)

    def _keep(self, fit: Fit, version: int) -> None:
        name = self.shelf.fit_name(self.method, self.adapter)
        if name not in self.shelf.fits or self.shelf.fits[name][1] <= version:
            self.shelf.fits[name] = fit, version
