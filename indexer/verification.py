"""All that can be wrong with a cache, looked for: `xmadapter cache verify`.

Everything of the store is read in one transaction, so it may be in use meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from adapter.networks import AdapterFileError
from indexer import soundness
from indexer.adapters import Adapters
from indexer.following import Publications
from indexer.loading import make_memory
from indexer.memory import Memory
from indexer.records import Rows
from indexer.soundness import Finding, told
from indexer.state import read_rows
from indexer.store import Store

SEARCHED = 1000
"""Keys that are searched for, where not all of them are."""
BATCH = 256
TOLERANCE = 1e-3
"""What an index may lose of an inner product of unit vectors."""


def verify(cache: Path, *, deep: bool = False) -> Iterator[Finding]:
    """Look at all that there is; one finding after another, as each is done.

    Args:
        cache: its folder; a service may have it open.
        deep: also make every version again from the rows, and search for each key.

    Raises:
        CacheMissing: there is none.
        CacheBusy, CacheUnwritable: it cannot be read now.
    """
    finding = Finding("opening", 1)
    with contextlib.ExitStack() as open_files:
        with told(finding):
            store = open_files.enter_context(contextlib.closing(Store(cache)))
        yield finding
        if finding.wrong:
            return
        with store.snapshot():
            yield from verify_files(store, deep=deep)
            yield _memory(store, deep=deep)


def verify_files(store: Store, *, deep: bool = True) -> Iterator[Finding]:
    """What `verify` says of files alone; it takes little memory."""
    with store.snapshot(), store.source() as source:
        checks = (*soundness.CHECKS, soundness.history) if deep else soundness.CHECKS
        for check in checks:
            finding = Finding(check.__name__)
            with told(finding, f"{check.__name__} cannot be read to their end: "):
                check(source, finding)
            yield finding
    yield _adapters(store)


def _memory(store: Store, *, deep: bool) -> Finding:
    finding = Finding("keys in the indices")
    with told(finding), store.source() as source:
        _compare_memory(store, read_rows(source), finding, deep=deep)
    return finding


def _compare_memory(store: Store, rows: Rows, finding: Finding, *, deep: bool) -> None:
    """What answers would be made of, beside what the store holds."""
    networks = Publications(Adapters(store.folder), store.origin).first().networks
    memory = make_memory(rows, networks, torch.device("cpu"), "auto", store)
    finding.count = len(memory)
    stored = torch.tensor(rows.shots.keys)
    ids = memory.shot_ids(range(len(memory)))
    if not torch.equal(memory.keys(), stored) or ids != rows.shots.ids:
        finding.complain("the keys in the index are not those of the store")
    state = memory.state()
    numbers = torch.tensor([each.id for each in rows.classes], dtype=torch.int64)
    if not torch.equal(numbers[state.targets], torch.tensor(rows.shots.class_ids)):
        finding.complain("the classes of the keys in the index are not those of the store")
    if len(rows.classes) != store.counts()[0] or len(memory.texts.rows) != len(memory):
        finding.complain("the index has another number of classes or texts than the store")
    _search(memory, finding, len(memory) if deep else min(len(memory), SEARCHED))


def _search(memory: Memory, finding: Finding, count: int) -> None:
    """Whether keys find themselves, or one as near."""
    for start in range(0, count, BATCH):
        rows = list(range(start, min(start + BATCH, count)))
        keys = torch.stack([memory.image.key(row) for row in rows])
        nearest = memory.image.search(keys, 1).similarity[:, 0]
        own = (keys * keys).sum(1)
        for row, lost in zip(rows, (own - nearest).tolist(), strict=True):
            if lost > TOLERANCE:
                finding.complain(f"shot {memory.shot_ids([row])[0]} does not find itself")


def _adapters(store: Store) -> Finding:
    """Records and networks of all adapters, and which one is to serve."""
    finding = Finding("adapters")
    adapters, origin = Adapters(store.folder), store.origin

    def attempt(work: Callable[[], object]) -> None:
        try:
            work()
        except AdapterFileError as error:
            finding.complain(str(error))

    for number in adapters.numbers:
        finding.count += 1
        attempt(functools.partial(adapters.read, number, origin.fingerprint, origin.width))
    attempt(lambda: adapters.published)
    return finding
