"""The file of keys: whole, private, one writer at a time, refused where it is damaged."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.keyfile import KeyFile, KeyFileError
from service.keys import Key, make
from service.settings import Settings


def kept(name: str = "me", **options: float) -> Key:
    end = datetime.now(UTC) + timedelta(days=1)
    return make(name, ["read"], expires=end, rate=options.get("rate"))[1]


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "new" / "keys.json")


def test_keys_are_added_and_revoked(file: KeyFile) -> None:
    assert file.read() is None
    first, second = kept(rate=2.5), kept("you")
    file.add(first)
    file.add(second)
    assert file.read() == (first, second)
    assert file.revoke(first.id) == first
    assert file.read() == (second,)
    file.revoke(second.id)
    assert file.read() == ()


def test_only_its_owner_reads_it(file: KeyFile) -> None:
    before = os.umask(0)
    try:
        file.add(kept())
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_an_unknown_id_is_told_with_those_there_are(file: KeyFile) -> None:
    with pytest.raises(KeyFileError, match=r"\(none\), got 'x'.*keys list"):
        file.revoke("x")
    key = kept()
    file.add(key)
    with pytest.raises(KeyFileError, match=rf"\({key.id}\), got 'x'"):
        file.revoke("x")


def test_writers_at_once_lose_nothing(file: KeyFile) -> None:
    made = [kept(str(number)) for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: KeyFile(file.path).add(key), made))
    assert {key.id for key in file.read() or ()} == {key.id for key in made}


def test_a_change_shows_in_the_signature(file: KeyFile) -> None:
    assert file.signature() is None
    file.add(kept())
    before = file.signature()
    assert before == file.signature()
    file.add(kept())
    assert file.signature() != before


def test_a_flipped_bit_is_refused_or_changes_nothing(file: KeyFile) -> None:
    file.add(kept(rate=2.5))
    content = file.path.read_bytes()
    expected = file.read()
    refused = 0
    for place in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        file.path.write_bytes(flipped)
        try:
            assert file.read() == expected, bytes(flipped)
        except KeyFileError:
            refused += 1
    assert refused > len(content) // 3 * 0.7


@pytest.mark.parametrize("part", [0, 0.5, 0.99])
def test_a_part_of_the_file_is_refused(file: KeyFile, part: float) -> None:
    file.add(kept())
    content = file.path.read_bytes()
    file.path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(KeyFileError, match=rf"{file.path} is damaged"):
        file.read()
    with pytest.raises(KeyFileError, match="damaged"):
        file.add(kept())


def test_what_was_edited_by_hand_is_refused_by_name(file: KeyFile) -> None:
    file.add(kept())
    document = json.loads(file.path.read_text())
    document["keys"][0]["scopes"] = ["admin"]
    file.path.write_text(json.dumps(document))
    with pytest.raises(KeyFileError, match="expected the checksum"):
        file.read()
    document["keys"][0]["scopes"] = ["everything"]
    file.path.write_text(json.dumps(document))
    with pytest.raises(KeyFileError, match=r"keys\.0\.scopes\.0"):
        file.read()


def test_what_cannot_be_read_or_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(KeyFileError, match="cannot be read"):
        KeyFile(tmp_path / "folder").read()
    (tmp_path / "file").touch()
    with pytest.raises(KeyFileError, match="cannot be changed"):
        KeyFile(tmp_path / "file" / "keys.json").add(kept())


def test_it_is_in_the_caches_folder_or_where_the_settings_say(tmp_path: Path) -> None:
    assert KeyFile.of(Settings(cache=tmp_path)).path == tmp_path / "keys.json"
    chosen = tmp_path / "chosen"
    assert KeyFile.of(Settings(cache=tmp_path, keys=chosen)).path == chosen
