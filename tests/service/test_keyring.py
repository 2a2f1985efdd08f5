"""The keys as a running service sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.keyfile import KeyFile, KeyFileError
from service.keyring import Keyring
from service.keys import Key, make


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


def added(file: KeyFile) -> Key:
    key = make("me", ["read"])[1]
    file.add(key)
    return key


def test_without_a_file_no_key_is_asked_for_unless_it_must(file: KeyFile) -> None:
    assert Keyring(file).keys() is None
    with pytest.raises(KeyFileError, match="keys create"):
        Keyring(file, required=True).keys()


def test_it_follows_the_file(file: KeyFile) -> None:
    ring = Keyring(file)
    assert ring.keys() is None
    first = added(file)
    assert ring.keys() == {first.id: first}
    second = added(file)
    assert ring.keys() == {first.id: first, second.id: second}
    file.revoke(first.id)
    assert ring.keys() == {second.id: second}


def test_the_last_key_revoked_leaves_the_door_locked(file: KeyFile) -> None:
    ring = Keyring(file)
    file.revoke(added(file).id)
    assert ring.keys() == {}


def test_a_file_is_read_once_for_each_change(
    file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    added(file)
    ring = Keyring(file)
    ring.keys()
    monkeypatch.setattr(file, "read", lambda: pytest.fail("it has not changed"))
    ring.keys()


def test_damage_closes_the_door_is_logged_once_and_mended(
    file: KeyFile, caplog: pytest.LogCaptureFixture
) -> None:
    key = added(file)
    ring = Keyring(file)
    ring.keys()
    content = file.path.read_bytes()
    file.path.write_bytes(content[:-9])
    for _ in range(3):
        with pytest.raises(KeyFileError, match="damaged"):
            ring.keys()
    assert [record.message for record in caplog.records] == ["nobody is let in"]
    file.path.write_bytes(content)
    assert ring.keys() == {key.id: key}


def test_a_file_that_goes_closes_the_door(file: KeyFile) -> None:
    key = added(file)
    ring = Keyring(file)
    ring.keys()
    away = file.path.rename(file.path.with_name("away"))
    with pytest.raises(KeyFileError, match="is gone"):
        ring.keys()
    away.rename(file.path)
    assert ring.keys() == {key.id: key}
