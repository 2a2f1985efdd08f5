"""Whether the service may start without keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from service import exposure
from service.exposure import ExposedError
from service.keyfile import KeyFile, KeyFileError
from service.keys import make
from service.settings import Settings

LOOPBACK = ["127.0.0.1", "127.3.2.1", "::1", "[::1]", "localhost", "LOCALHOST"]
REACHED = ["0.0.0.0", "::", "192.168.1.5", "fe80::1", "203.0.113.1", "example.org", "127.1", ""]


def settings(folder: Path, **given: object) -> Settings:
    return Settings(cache=folder, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", LOOPBACK)
def test_a_loopback_address_needs_no_key(host: str, tmp_path: Path) -> None:
    for given in ({"host": host}, {"host": "0.0.0.0", "published_host": host}):
        made = settings(tmp_path, **given)
        assert exposure.check(made) is None
        assert not exposure.keys_required(made)


@pytest.mark.parametrize("host", REACHED)
def test_any_other_address_needs_one(host: str, tmp_path: Path) -> None:
    made = settings(tmp_path, host=host)
    assert exposure.keys_required(made)
    with pytest.raises(ExposedError, match=r"keys create NAME.*--insecure"):
        exposure.check(made)
    KeyFile.of(made).add(make("me", ["read"])[1])
    assert exposure.check(made) is None


def test_the_address_that_callers_use_counts(tmp_path: Path) -> None:
    made = settings(tmp_path, host="127.0.0.1", published_host="0.0.0.0")
    with pytest.raises(ExposedError, match=r"reach 0\.0\.0\.0"):
        exposure.check(made)


def test_a_file_without_any_key_is_none(tmp_path: Path) -> None:
    made = settings(tmp_path, host="0.0.0.0")
    key = make("me", ["read"])[1]
    KeyFile.of(made).add(key)
    KeyFile.of(made).revoke(key.id)
    with pytest.raises(ExposedError):
        exposure.check(made)


def test_insecure_is_warned_of_where_others_come_in_unasked(tmp_path: Path) -> None:
    made = settings(tmp_path, host="0.0.0.0", insecure=True)
    assert not exposure.keys_required(made)
    assert "nobody is asked for an API key" in (exposure.check(made) or "")
    assert exposure.check(settings(tmp_path, insecure=True)) is None
    KeyFile.of(made).add(make("me", ["read"])[1])
    assert exposure.check(made) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_damaged_file_is_refused_everywhere(host: str, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(b"{}")
    with pytest.raises(KeyFileError, match="damaged"):
        exposure.check(settings(tmp_path, host=host, insecure=True))
