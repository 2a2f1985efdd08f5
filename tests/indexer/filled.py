"""A cache that has something of everything, for those who copy, check or shrink it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from adapter.networks import Networks
from indexer.adapters import Adapters
from indexer.records import Cap, DerivedFile, Reply, Request, StoredShot
from indexer.store import Store
from tests.indexer.helpers import ORIGIN, STORE_WIDTH, stored_shot, unit
from tests.indexer.test_adapters import RECORD


def full_shot(seed: int, caption: str | None = None) -> StoredShot:
    """A shot with views and a thumbnail."""
    views = np.stack([unit(seed), unit(seed + 500)]).astype(np.float16)
    thumbnail = f"RIFF{seed}".encode()
    return replace(stored_shot(seed, caption), views=views, thumbnail=thumbnail)


def fill(folder: Path) -> None:
    """Make it: classes, captions, merged and forgotten shots, answers, adapters."""
    Store.create(folder, ORIGIN)
    with closing(Store(folder)) as store:
        ant = [full_shot(seed, "red" if seed % 2 else None) for seed in range(6)]
        added = store.add("ant", ant, feature=unit(70), texts={"red": unit(71)})
        store.add("bee", [full_shot(10)], feature=unit(72))
        store.add("bee", [full_shot(11), full_shot(12)], cap=Cap(1, "merge"))
        store.put_class("cow", ("a {}",), unit(73), caller="camera")
        store.forget(added.placed[0].shot_id)
        store.remember(Request("key", "fingerprint"), Reply(201, b'{"answer": 1}'))
        store.set_fit("full", '{"number": 1}', store.version)
        content = b"centroids"
        (folder / "derived.bin").write_bytes(content)
        store.set_derived_file("derived.bin", DerivedFile(1, 6, sha256(content).hexdigest()))
    adapters = Adapters(folder)
    record = replace(RECORD, encoder=ORIGIN.fingerprint)
    adapters.write(Networks.initial(STORE_WIDTH, 2, seed=1), record)
    adapters.write(Networks.initial(STORE_WIDTH, 2, seed=2), replace(record, published=False))
