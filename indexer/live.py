"""Store, both indices and the head, kept in step: what one thread owns of a cache."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from adapter.encoder import Encoder
from adapter.fit import Fit, Method
from adapter.head import Head, Hits, Scores
from indexer.centroids import image_centroids
from indexer.errors import EmptyCache
from indexer.fitting import CacheSnapshot, Fitted, moved
from indexer.index import IndexKind, KeyIndex, make_index
from indexer.info import stored_fit
from indexer.keys import TextKeys
from indexer.memory import Memory
from indexer.opening import check_features, file_checksum, load_networks
from indexer.store import Store

NEIGHBOURS = 1024
"""Shots that an answer weighs where the index is not exact."""


class Live:
    """All that answers are made of, as of the store's last change. For one thread.

    Attributes:
        method: which form answers.
        version: of the store, as far as memory knows.
        fitted_version: the version whose shots the numbers were fitted on.
    """

    def __init__(
        self,
        store: Store,
        encoder: Encoder,
        *,
        method: Method,
        index: IndexKind,
        networks: Path | None,
    ) -> None:
        """Read the store. Raises IndexUnavailable or AdapterFileError."""
        self.method = method
        self.version = store.version
        self.fitted_version = 0
        self._store = store
        self._encoder = encoder
        self._kind: IndexKind = index
        # A module moves in place, so there are two: fits run on the CPU.
        # Numbers fitted with other networks are other numbers.
        self._fit_name = method if networks is None else f"{method} {file_checksum(networks)}"
        self._networks = load_networks(networks, encoder.width)
        self._on_device = load_networks(networks, encoder.width).to(encoder.device)
        self._memory = self._load()
        self._behind = False
        self._current = True
        self._head: Head
        self._start_head()

    @property
    def memory(self) -> Memory:
        """All shots, with every change that the store has."""
        if self._behind:
            self._memory = self._load()
            self._behind = self._current = False
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

    @contextlib.contextmanager
    def in_step(self, version: int) -> Iterator[None]:
        """Mirror, in the `memory` of before, a change that is on disk by now.

        Should that fail (the accelerator's memory is full, say), the change still counts: memory
        is read from the store again before its next use.
        """
        self.version = version
        self._behind = True
        yield
        self._behind = self._current = False

    def score(self, features: Tensor) -> Scores:
        """Score unit query features (B, D). Raises EmptyCache or FeatureError."""
        memory = self.memory
        if not memory.class_count:
            raise EmptyCache(f"the cache {self._store.folder} has no class yet: teach it one first")
        features = features.to(self._encoder.device, torch.float32)
        check_features(features, self._encoder.width)
        with torch.no_grad():
            queries = self._on_device.img2txt_net(features)
            image = _hits(memory.image, features)
            text = _hits(memory.texts.index, queries)
            return self._current_head(memory).score(features, image, text)

    def snapshot(self) -> CacheSnapshot:
        """A copy of all shots."""
        support = self.memory.support(self._encoder.logit_scale)
        return CacheSnapshot(support, self.version, self._networks, self.method)

    def install(self, fitted: Fitted) -> None:
        """Keep fitted numbers, and answer with them from now on.

        Those of a fit that has been overtaken by a later one are dropped.
        """
        if fitted.version < self.fitted_version:
            return
        self._store.set_fit(self._fit_name, fitted.fit.to_json(), fitted.version)
        self._use(fitted)

    def _start_head(self) -> None:
        """Answer with the stored numbers, or fit them where there are none."""
        snapshot = self.snapshot()
        numbers, version = stored_fit(self._store, self._fit_name)
        if numbers is None or version is None:
            self.install(snapshot.fit())
        else:
            self._use(replace(snapshot.head(numbers), version=version))

    def _use(self, fitted: Fitted) -> None:
        self._head = moved(fitted.head, self._encoder.device)
        self.fitted_version = fitted.version
        self._current = False

    def _current_head(self, memory: Memory) -> Head:
        """The head with every change; brought up to date once for any number of them."""
        if not self._current:
            state = memory.state(self._encoder.device)
            self._head = self._head.updated(
                labels=state.labels,
                classifier=state.classifier,
                targets=state.targets,
                text_rows=state.text_rows,
                counts=state.counts,
                means=state.means,
            )
            self._current = True
        return self._head

    def _load(self) -> Memory:
        """Read everything from the store."""
        device, width = self._encoder.device, self._encoder.width
        shots = self._store.shot_rows()
        centroids = None
        if self._kind == "faiss-ivf" and shots.ids:
            centroids = image_centroids(self._store, torch.tensor(shots.keys))
        image = make_index(width, self._kind, device, centroids)
        text_kind = "auto" if self._kind == "faiss-ivf" else self._kind
        text = make_index(self._on_device.width_out, text_kind, device)
        memory = Memory(width, image, TextKeys(text, self._on_device.meta_net, width, device))
        memory.load(self._store.class_rows(), shots, self._store.text_features())
        return memory


def _hits(index: KeyIndex, queries: Tensor) -> Hits:
    if index.exact:
        return Hits(index.similarities(queries))
    return index.search(queries, NEIGHBOURS)
