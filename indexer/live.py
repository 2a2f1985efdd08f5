"""Store, both indices, the networks and the head, kept in step: what one thread owns of a cache."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adapter.encoder import Encoder
from adapter.fit import Fit, Method
from adapter.head import Head, Hits, Scores
from adapter.networks import Networks
from indexer.adapters import Adapter
from indexer.errors import EmptyCache
from indexer.fitting import CacheSnapshot, Fitted, moved
from indexer.index import IndexKind, KeyIndex
from indexer.info import stored_fit
from indexer.loading import make_memory, read_rows
from indexer.memory import Memory
from indexer.opening import check_features
from indexer.records import Rows
from indexer.store import Store
from indexer.turn import turn

FEW = 1024
"""Keys that are always added or removed one by one; many more are quicker read all anew."""

NEIGHBOURS = 256
"""Shots that an answer weighs one by one where the index is not exact: the others by their mean."""


@dataclass(frozen=True)
class Prepared:
    """All that another adapter needs to serve, made beside the one that does.

    Attributes:
        adapter: to serve.
        networks: its own, on the encoder's device.
        memory: the shots of `fitted.version`, with keys of these networks.
        fitted: numbers for them.
    """

    adapter: Adapter
    networks: Networks
    memory: Memory
    fitted: Fitted


class Live:
    """All that answers are made of, as of the store's last change. For one thread.

    Only `prepare` is for another one.

    Attributes:
        method: which form answers.
        adapter: whose networks answer.
        version: of the store, as memory has it.
        fitted_version: the version whose shots the numbers were fitted on.
    """

    def __init__(
        self,
        store: Store,
        encoder: Encoder,
        *,
        method: Method,
        index: IndexKind,
        adapter: Adapter,
        rows: Rows | None = None,
    ) -> None:
        """Read the store, unless its `rows` are at hand. Raises IndexUnavailable, CacheDamaged."""
        self.method = method
        self.adapter = adapter
        self.fitted_version = 0
        self._store = store
        self._encoder = encoder
        self._kind: IndexKind = index
        self._networks = self._on_device(adapter)
        self._current = False
        rows = rows or read_rows(store)
        self._memory = self._made(rows, self._networks)
        self._sound = True
        self.version = rows.version
        self._head: Head
        self.catch_up()
        at_hand = torch.from_numpy(rows.shots.keys) if self.version == rows.version else None
        self._start_head(at_hand)

    @property
    def memory(self) -> Memory:
        """All shots, as of `version`."""
        return self._memory

    @property
    def kinds(self) -> tuple[str, str]:
        """Which kinds of index hold the image keys and the text keys. From any thread."""
        memory = self._memory
        return memory.image.kind, memory.texts.index.kind

    @property
    def fit(self) -> Fit:
        """The numbers in use. From any thread."""
        return self._head.fit

    def catch_up(self) -> None:
        """Have what the store has, whoever changed it."""
        if self._sound and self._store.version == self.version:
            return
        most = FEW + len(self._memory) // 4
        delta = self._store.delta(self.version, most) if self._sound else None
        # Should what follows fail (the accelerator's memory is full, say), the changes still
        # count: everything is read from the store again before its next use.
        self._sound = self._current = False
        if delta is not None:
            self._memory.apply(delta)
            self.version = delta.version
        else:
            rows = read_rows(self._store)
            self._memory = self._made(rows, self._networks)
            self.version = rows.version
        self._sound = True

    def refresh(self) -> Head:
        """The head with all that memory has; brought up to date once for any number of changes."""
        if not self._current:
            known = self._head.distances
            state = self._memory.state(None if known is None else known.precision)
            self._head = self._head.updated(
                labels=state.labels,
                classifier=state.classifier,
                targets=state.targets,
                text_rows=state.text_rows,
                text_pairs=state.text_pairs,
                counts=state.counts,
                means=state.means,
                distances=state.distances,
            )
            self._current = True
        return self._head

    def score(self, features: Tensor) -> Scores:
        """Score unit query features (B, D). Raises EmptyCache or FeatureError."""
        self.catch_up()
        memory = self._memory
        if not memory.class_count:
            raise EmptyCache(f"the cache {self._store.folder} has no class yet: teach it one first")
        features = features.to(self._encoder.device, torch.float32)
        check_features(features, self._encoder.width)
        with torch.no_grad():
            queries = self._networks.img2txt_net(features)
            image = _hits(memory.image, features)
            text = _hits(memory.texts.index, queries)
            return self.refresh().score(features, image, text)

    def snapshot(self) -> CacheSnapshot:
        """All shots; a copy, which the caller's thread completes."""
        self.catch_up()
        support = self.memory.support(self._encoder.logit_scale)
        return CacheSnapshot(support, self.version, self.adapter.networks, self.method)

    def install(self, fitted: Fitted) -> None:
        """Keep fitted numbers, and answer with them from now on.

        Those of a fit that has been overtaken by a later one, or by another adapter, are dropped.
        """
        if fitted.version < self.fitted_version or fitted.networks is not self.adapter.networks:
            return
        self._keep(self.adapter, fitted)
        self._use(fitted)

    def prepare(self, adapter: Adapter) -> Prepared:
        """Do all that is slow in a change of adapter. On any one thread, while others answer.

        Raises:
            IndexUnavailable: no further index fits onto the device.
            CacheUnwritable: the numbers cannot be kept.
        """
        networks = self._on_device(adapter)
        rows = read_rows(self._store)
        memory = self._made(rows, networks)
        keys = torch.from_numpy(rows.shots.keys)
        support = memory.support(self._encoder.logit_scale, keys)
        fitted = CacheSnapshot(support, rows.version, adapter.networks, self.method).fit()
        self._keep(adapter, fitted)
        return Prepared(adapter, networks, memory, fitted)

    def swap(self, prepared: Prepared) -> None:
        """Answer with another adapter from now on, and with every shot that there is."""
        memory, version = prepared.memory, prepared.fitted.version
        delta = self._store.delta(version, FEW + len(memory) // 4)
        if delta is None:
            rows = read_rows(self._store)
            memory, version = self._made(rows, prepared.networks), rows.version
        else:
            memory.apply(delta)
            version = delta.version
        self.adapter, self._networks = prepared.adapter, prepared.networks
        self._memory, self.version, self._sound = memory, version, True
        self._use(prepared.fitted)

    def _start_head(self, keys: Tensor | None) -> None:
        """Answer with the stored numbers, or fit them where there are none that can be used."""
        support = self._memory.support(self._encoder.logit_scale, keys)
        snapshot = CacheSnapshot(support, self.version, self.adapter.networks, self.method)
        if self._take_stored(snapshot):
            return
        with turn(self._store.folder):
            # Another process that is starting may have fitted meanwhile.
            if not self._take_stored(snapshot):
                self.install(snapshot.fit())

    def _take_stored(self, snapshot: CacheSnapshot) -> bool:
        """Answer with the stored numbers; False where there are none that can be used."""
        numbers, version = stored_fit(self._store, self.adapter.fit_name(self.method))
        if numbers is None or version is None or not snapshot.suits(numbers):
            return False
        self._use(replace(snapshot.head(numbers), version=version))
        return True

    def _keep(self, adapter: Adapter, fitted: Fitted) -> None:
        name = adapter.fit_name(self.method)
        self._store.set_fit(name, fitted.fit.to_json(), fitted.version)

    def _use(self, fitted: Fitted) -> None:
        self._head = moved(fitted.head, self._encoder.device)
        self.fitted_version = fitted.version
        self._current = False

    def _on_device(self, adapter: Adapter) -> Networks:
        # A module moves in place, and fits need it on the CPU: so there are two.
        return copy.deepcopy(adapter.networks).to(self._encoder.device)

    def _made(self, rows: Rows, networks: Networks) -> Memory:
        return make_memory(rows, networks, self._encoder.device, self._kind, self._store)


def _hits(index: KeyIndex, queries: Tensor) -> Hits:
    if index.exact:
        return Hits(index.similarities(queries))
    return index.search(queries, NEIGHBOURS)
