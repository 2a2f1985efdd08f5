"""A cache that is looked at as a whole."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from torch import Tensor

from adapter.head import Hits
from indexer import soundness, verification
from indexer.adapters import Adapters
from indexer.errors import CacheMissing
from indexer.faiss_index import FaissFlatIndex
from indexer.memory import Memory
from indexer.reader import FILE
from indexer.soundness import Finding
from indexer.store import Store
from indexer.verification import verify, verify_files
from tests.indexer.filled import full_shot


@pytest.fixture
def folder(filled: Path) -> Path:
    return filled


def wrong(folder: Path, *, deep: bool = True) -> dict[str, list[str]]:
    return {each.name: each.wrong for each in verify(folder, deep=deep) if each.wrong}


def damage(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        assert connection.execute(statement).rowcount > 0


@pytest.mark.parametrize("deep", [False, True])
def test_a_sound_cache_is_sound_and_all_of_it_was_seen(folder: Path, deep: bool) -> None:
    found = list(verify(folder, deep=deep))
    assert [each.wrong for each in found] == [[]] * len(found)
    counts = {each.name: each.count for each in found}
    assert counts.pop("pages") > 10
    assert counts == {
        "opening": 1,
        "versions": 6,
        "classes": 3,
        "texts": 1,
        "shots": 9,
        "extras": 9,
        "placements": 9,
        "fits": 1,
        "requests": 1,
        "derived_files": 1,
        "adapters": 2,
        "keys in the indices": 6,
        **({"history": 6} if deep else {}),
    }


def test_an_empty_cache_is_sound(folder: Path) -> None:
    with closing(Store(folder)) as store:
        for label in ("ant", "bee", "cow"):
            store.delete_class(label)
        store.compact()
    assert wrong(folder) == {}


def test_no_cache_is_no_finding(tmp_path: Path) -> None:
    with pytest.raises(CacheMissing):
        list(verify(tmp_path))


def test_what_is_no_cache_is_told_at_once(folder: Path) -> None:
    (folder / FILE).write_bytes(b"x" * 5000)
    found = list(verify(folder))
    assert [each.name for each in found] == ["opening"]
    assert "not a database" in found[0].wrong[0]


def test_a_cache_in_use_is_read_as_of_one_moment(folder: Path) -> None:
    counts = {}
    with closing(Store(folder)) as other:
        for seed, finding in enumerate(verify(folder, deep=True)):
            if finding.name != "opening":
                other.add("ant", [full_shot(100 + seed)])
            assert finding.wrong == []
            counts[finding.name] = finding.count
        assert other.counts()[1] > 2 * counts["keys in the indices"]
    assert (counts["shots"], counts["history"], counts["keys in the indices"]) == (9, 6, 6)


@pytest.mark.parametrize(
    ("statement", "name", "message"),
    [
        ("UPDATE versions SET caller = 'me' WHERE version = 2", "versions", "version 2"),
        ("UPDATE shots SET sha256 = 'x' WHERE position = 3", "shots", "not as it was written"),
        ("UPDATE shots SET key = zeroblob(32) WHERE position = 3", "shots", "length 1, got 0"),
        ("UPDATE shots SET key = zeroblob(31) WHERE position = 3", "shots", "8 numbers"),
        (f"UPDATE texts SET feature = x'0000c07f{'00' * 28}'", "texts", "NaN"),
        ("UPDATE class_states SET feature = zeroblob(32) WHERE id = 1", "classes", "length 1"),
        ("UPDATE class_states SET prompts = '[' WHERE id = 3", "classes", "cannot be read"),
        ("UPDATE classes SET label = '' WHERE id = 3", "classes", "expected a label"),
        ("UPDATE extras SET thumbnail = x'00' WHERE position = 1", "extras", "thumbnail of shot"),
        ("DELETE FROM extras WHERE position = 1", "extras", "thumbnail of shot"),
        ("UPDATE fits SET json = '{}'", "fits", "'full'"),
        ("UPDATE requests SET status = 200", "requests", "'key'"),
        ("UPDATE derived_files SET sha256 = 'x'", "derived_files", "derived.bin"),
        ("UPDATE placements SET until = 1 WHERE position = 1", "placements", "shot 1"),
        ("UPDATE placements SET class_id = 1 WHERE position = 8", "placements", "share key"),
        ("UPDATE placements SET since = 3 WHERE position = 2", "history", "of version 1 is not"),
        ("DELETE FROM placements WHERE position = 2", "history", "expected 1 classes and 6"),
        ("UPDATE placements SET until = 9 WHERE position = 1", "history", "speak of version 9"),
        ("DELETE FROM versions WHERE version = 3", "versions", "expected version 3 next"),
        ("DELETE FROM classes WHERE id = 3", "pages", "not there"),
        ("UPDATE placements SET slot = slot + 1 WHERE position = 2", "keys in the indices", ""),
    ],
)
def test_each_kind_of_damage_is_told(folder: Path, statement: str, name: str, message: str) -> None:
    damage(folder, statement)
    found = wrong(folder)
    assert any(message in line for line in found[name]), found


def test_all_that_is_wrong_is_told_and_not_the_first_alone(folder: Path) -> None:
    damage(folder, "UPDATE shots SET sha256 = sha256 || 'x' WHERE position < 4")
    damage(folder, "UPDATE extras SET views = NULL WHERE position > 7")
    found = wrong(folder)
    assert (len(found["shots"]), len(found["extras"])) == (3, 2)


def test_complaints_are_counted_where_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundness, "MOST", 2)
    finding = Finding("shots")
    for number in range(5):
        finding.complain(str(number))
    assert (finding.wrong, finding.more) == (["0", "1"], 3)


def test_a_damaged_page_is_told(folder: Path) -> None:
    path = folder / FILE
    content = bytearray(path.read_bytes())
    at = content.index(b"RIFF3")
    content[at - 400 : at + 5] = bytes(405)
    path.write_bytes(content)
    assert wrong(folder)


def test_adapters_and_the_pointer_are_read(folder: Path) -> None:
    adapters = Adapters(folder)
    networks, record = adapters.paths(2)
    networks.write_bytes(networks.read_bytes()[:-1] + b"x")
    adapters.paths(1)[1].write_text("{}")
    found = wrong(folder)["adapters"]
    assert "0002.safetensors is damaged" in " ".join(found)
    assert sum("0001.json" in line for line in found) == 2
    record.unlink()
    assert not any("0002" in line for line in wrong(folder)["adapters"])


def test_the_index_is_compared_with_the_store(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lame(memory: Memory, *given: object) -> None:
        load(memory, *given)  # type: ignore[arg-type]
        memory.image.replace([1], memory.image.key(0)[None] * 0.1)

    load = Memory.load
    monkeypatch.setattr(Memory, "load", lame)
    found = wrong(folder)["keys in the indices"]
    assert found == ["the keys in the index are not those of the store"]


@pytest.mark.parametrize(("deep", "found"), [(True, 6), (False, 2)])
def test_a_key_that_is_not_found_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, deep: bool, found: int
) -> None:
    def blind(index: FaissFlatIndex, queries: Tensor, k: int) -> Hits:
        return Hits(search(index, queries, k).similarity - 0.5)

    search = FaissFlatIndex.search
    monkeypatch.setattr(FaissFlatIndex, "search", blind)
    monkeypatch.setattr(verification, "SEARCHED", 2)
    told = wrong(folder, deep=deep)["keys in the indices"]
    assert len(told) == found
    assert "does not find itself" in told[0]


def test_files_alone_need_no_index(folder: Path) -> None:
    with closing(Store(folder)) as store:
        names = [each.name for each in verify_files(store)]
    assert names[-2:] == ["history", "adapters"]
