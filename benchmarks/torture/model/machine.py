"""What may happen to a cache, drawn by Hypothesis, and compared with its plain twin at each step.

Two have the same cache open all the time, as two processes would: what one of them was told, the
other must know when it is asked next.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from adapter.fit import Method
from adapter.networks import Networks
from benchmarks.torture.model import lessons
from benchmarks.torture.model.handle import Handle, Shelf
from benchmarks.torture.model.operations import (
    CHANGES,
    MOST,
    QUESTIONS,
    Classes,
    Counts,
    ForgetThis,
    Operation,
    Shots,
    Versions,
)
from benchmarks.torture.model.plain import Cap
from benchmarks.torture.model.twin import outcome, same
from indexer.adapters import Adapters
from indexer.compaction import compact, planned
from indexer.index import IndexKind
from indexer.store import Store
from indexer.transfer import export_cache, import_cache
from indexer.verification import verify

KINDS: tuple[IndexKind, ...] = ("numpy", "faiss-flat", "faiss-ivf")
_whose = st.integers(0, 1)
_numbers = st.integers(0, MOST - 1)
_kinds = st.sampled_from(KINDS)
_caps = st.none() | st.builds(Cap, st.integers(1, 4), st.booleans())
_methods: st.SearchStrategy[Method | None] = st.sampled_from((None, None, "full", "paper"))
_meanwhile = st.lists(CHANGES, max_size=2)


@dataclass
class Tally:
    """How many operations were compared."""

    operations: int = 0


class _BrokenOff(Exception):  # noqa: N818 (what happens to a group)
    pass


class Machine(RuleBasedStateMachine):
    """A cache in a folder of its own within `folder`."""

    def __init__(self, folder: Path, tally: Tally) -> None:
        super().__init__()
        self._shelf = Shelf(Path(tempfile.mkdtemp(dir=folder)))
        self._tally = tally
        self._handles: list[Handle] = []

    @initialize(
        first=_kinds,
        second=_kinds,
        caps=st.tuples(_caps, _caps),
        method=_methods,
        taught=st.lists(CHANGES, max_size=8),
    )
    def begin(
        self,
        first: IndexKind,
        second: IndexKind,
        caps: tuple[Cap | None, Cap | None],
        method: Method | None,
        taught: list[Operation],
    ) -> None:
        """Open it twice, and teach it something."""
        self._handles.append(Handle(self._shelf, first, caps[0], method))
        self._handles.append(Handle(self._shelf, second, caps[1], None))
        self._put(0, taught)

    @rule(whose=_whose, calls=st.lists(CHANGES | QUESTIONS, min_size=3, max_size=12))
    def call(self, whose: int, calls: list[Operation]) -> None:
        """Change and ask, one after another."""
        self._put(whose, calls)

    @rule(whose=_whose, calls=st.lists(CHANGES, min_size=2, max_size=10), ends=st.booleans())
    def group(self, whose: int, calls: list[Operation], ends: bool) -> None:
        """Changes that are on disk together, or not at all if the group is broken off."""
        saved = self._shelf.plain.saved()
        try:
            with self._handles[whose].cache.group():
                self._put(whose, calls)
                if not ends:
                    raise _BrokenOff
        except _BrokenOff:
            self._shelf.plain.undo(saved)

    @rule(whose=_whose, seeds=st.lists(_numbers, min_size=2, max_size=6))
    def classify(self, whose: int, seeds: list[int]) -> None:
        """Ask what pictures show."""
        for seed in seeds:
            self._ask(whose, seed)

    @rule(whose=_whose)
    def thin_out(self, whose: int) -> None:
        """Forget all shots of each class but the oldest."""
        state = self._shelf.plain.state
        for number in state.classes:
            own = sorted(shot for shot, place in state.places.items() if place[0] == number)
            for shot in own[1:]:
                self._put(whose, [ForgetThis(shot)])

    @rule(limit=st.integers(1, 5))
    def look_over(self, limit: int) -> None:
        """Have both tell all that they hold."""
        for whose in (0, 1):
            self._put(whose, [Shots(None, limit), Classes(limit), Versions(limit), Counts()])

    @rule(whose=_whose)
    def refit(self, whose: int) -> None:
        """Fit here and now."""
        self._handles[whose].refit()
        self._tally.operations += 1
        self._ask(whose)

    @rule(
        whose=_whose,
        meanwhile=_meanwhile,
        other=_whose,
        overtaken=st.sampled_from(("", "", "by a fit", "by an adapter")),
    )
    def fit_late(self, whose: int, meanwhile: list[Operation], other: int, overtaken: str) -> None:
        """Fit while something changes, perhaps too late for the fit to be of use."""

        def change() -> None:
            self._put(other, meanwhile)
            if overtaken == "by a fit":
                self._handles[whose].refit()
            elif overtaken:
                self._handles[whose].follow(lambda: None)

        self._handles[whose].fit_late(change)
        self._tally.operations += 1
        self._ask(whose)

    @rule(
        whose=_whose,
        kind=st.integers(0, 3),
        seed=st.none() | _numbers,
        fresh=st.booleans(),
        meanwhile=_meanwhile,
        other=_whose,
    )
    def train(
        self,
        whose: int,
        kind: int,
        seed: int | None,
        fresh: bool,
        meanwhile: list[Operation],
        other: int,
    ) -> None:
        """Have another adapter serve, an earlier one or one that may move the shots of now.

        One follows at once, while something changes, the other perhaps later.
        """
        self._publish(kind, seed, fresh)
        self._follow(whose, meanwhile, other)

    @rule(whose=_whose, meanwhile=_meanwhile, other=_whose)
    def follow(self, whose: int, meanwhile: list[Operation], other: int) -> None:
        """Change to the adapter that is to serve, if that is another one."""
        self._follow(whose, meanwhile, other)

    @rule(whose=_whose, kind=_kinds, cap=_caps, method=_methods)
    def restart(self, whose: int, kind: IndexKind, cap: Cap | None, method: Method | None) -> None:
        """Close it and open it, perhaps in another way."""
        self._handles[whose].close()
        self._handles[whose] = Handle(self._shelf, kind, cap, method)
        self._tally.operations += 1
        self._ask(whose)

    @rule(keep=st.integers(0, 20))
    def compact(self, keep: int) -> None:
        """Forget old versions, as another process."""
        with closing(Store(self._shelf.folder)) as store:
            compact(store, planned(store, keep))
        self._shelf.plain.compact(keep)
        self._tally.operations += 1

    @rule(deep=st.booleans(), move=st.booleans(), history=st.booleans())
    def carry(self, deep: bool, move: bool, history: bool) -> None:
        """Verify it; perhaps go on with an import of its export."""
        wrong = [finding for finding in verify(self._shelf.folder, deep=deep) if finding.wrong]
        assert not wrong, f"expected nothing wrong, got {wrong}"
        self._tally.operations += 1
        if move:
            self._move(history)
            self._tally.operations += 2

    def teardown(self) -> None:
        """Close it, and leave nothing behind."""
        for handle in self._handles:
            handle.close()
        shutil.rmtree(self._shelf.folder)

    def _publish(self, kind: int, seed: int | None, fresh: bool) -> None:
        shelf, adapters = self._shelf, Adapters(self._shelf.folder)
        if fresh:
            networks = self._networks(kind, seed)
            record = adapters.write(networks, lessons.record(shelf.method))
            assert record.number == len(shelf.networks), f"got adapter {record.number}"
            shelf.networks[record.number] = networks
            shelf.published = record.number
        else:
            shelf.published = list(shelf.networks)[(seed or 0) % len(shelf.networks)]
            adapters.use(shelf.published)
        self._tally.operations += 1

    def _follow(self, whose: int, meanwhile: list[Operation], other: int) -> None:
        self._handles[whose].follow(lambda: self._put(other, meanwhile))
        self._tally.operations += 1
        self._ask(whose)

    def _move(self, history: bool) -> None:
        shelf, archive, before = self._shelf, BytesIO(), self._shelf.folder
        export_cache(before, archive, history=history, scratch=before.parent)
        archive.seek(0)
        shelf.folder = Path(tempfile.mkdtemp(dir=before.parent))
        import_cache(archive, shelf.folder)
        if not history:
            shelf.plain.compact(0)
            shelf.plain.replies.clear()
        for whose, handle in enumerate(self._handles):
            handle.close()
            self._handles[whose] = handle.reopened()
        shutil.rmtree(before)

    def _networks(self, kind: int, seed: int | None) -> Networks:
        shelf, networks = self._shelf, lessons.trained()[kind]
        if seed is None:
            return networks
        names = [shelf.names.id(shot) for shot in sorted(shelf.plain.state.places)]
        return lessons.with_residuals(networks, names, seed)

    def _put(self, whose: int, calls: Sequence[Operation]) -> None:
        """Make calls, and compare what each gives."""
        for call in calls:
            self._compare(self._handles[whose], call)
            self._tally.operations += 1

    def _ask(self, whose: int, seed: int = 0) -> None:
        self._handles[whose].classify(seed)
        self._tally.operations += 1

    def _compare(self, handle: Handle, call: Operation) -> None:
        plain = self._shelf.plain
        found = outcome(lambda: call.on(handle.product, plain))
        expected = outcome(lambda: call.on(handle.twin, plain))
        assert same(found, expected), f"{call}: expected {expected}, got {found}"
