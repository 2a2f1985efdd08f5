"""From what a store holds to what is searched: the one place where a `Memory` is made of it."""

from __future__ import annotations

import contextlib

import torch

from adapter.networks import Networks
from indexer.centroids import image_centroids
from indexer.index import IndexKind, make_index
from indexer.keys import make_text_keys
from indexer.memory import Memory
from indexer.reader import Reader
from indexer.records import Rows
from indexer.store import Store


def read_rows(store: Store) -> Rows:
    """All rows of a store, as of one moment. From any thread; it holds nobody up.

    Raises:
        CacheDamaged: they are not what was written.
    """
    with contextlib.closing(Reader(store.folder)) as reader:
        return reader.rows()


def make_memory(
    rows: Rows, networks: Networks, device: torch.device, kind: IndexKind, store: Store
) -> Memory:
    """Keys and indices for these rows, made by these networks.

    Args:
        rows: of `store`.
        networks: on `device`.
        device: the encoder's.
        kind: of the index of image keys. Text keys are narrow, and always exact.
        store: where the centroids of an inexact index are kept.

    Raises:
        IndexUnavailable: a kind of index that cannot be had here.
    """
    centroids = None
    if kind == "faiss-ivf" and rows.shots.ids:
        # Of the plain keys, so that they do for any adapter.
        centroids = image_centroids(store, torch.tensor(rows.shots.keys))
    image = make_index(store.width, kind, device, centroids)
    text = make_index(networks.width_out, "auto" if kind == "faiss-ivf" else kind, device)
    texts = make_text_keys(text, networks, device)
    memory = Memory(
        store.width, image, texts, networks.learned, device, lambda: read_rows(store).shots
    )
    memory.load(rows.classes, rows.shots, rows.captions)
    return memory
