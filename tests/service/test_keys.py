"""API keys as values."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from service.keys import check, digest_of, make

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def test_a_key_is_an_id_and_256_random_bits() -> None:
    key, kept = make("me", ["read"])
    assert re.fullmatch(rf"xma_{kept.id}_[A-Za-z0-9_-]{{43}}", key)
    assert make("me", ["read"])[0] != key


def test_only_a_hash_is_kept_and_none_of_it_is_shown() -> None:
    key, kept = make("me", ["read", "write", "read"])
    secret = key.rpartition(kept.id)[2]
    assert kept.digest == hashlib.sha256(key.encode()).hexdigest()
    assert secret not in kept.model_dump_json()
    assert kept.digest not in f"{kept!r} {kept}"
    assert kept.scopes == ("read", "write")


def test_a_key_is_known_by_all_of_it() -> None:
    key, kept = make("me", ["read"])
    other, second = make("you", ["read"])
    known = {kept.id: kept, second.id: second}
    assert check(known, key, NOW) is kept
    assert check(known, other, NOW) is second
    swapped = key[:16] + other[16:]
    for wrong in (
        "",
        "x",
        key[:-1],
        key + "x",
        key.upper(),
        swapped,
        f" {key}",
        "\udcff",
        "ü" * 60,
    ):
        assert check(known, wrong, NOW) is None
    assert check({}, key, NOW) is None


def test_a_key_without_its_time_is_nobodys() -> None:
    end = NOW + timedelta(seconds=1)
    key, kept = make("me", ["read"], expires=end)
    assert check({kept.id: kept}, key, NOW) is kept
    assert check({kept.id: kept}, key, end) is None


def test_known_and_unknown_ids_are_compared_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, str]] = []
    real = hmac.compare_digest

    def note(given: str, expected: str) -> bool:
        compared.append((given, expected))
        return real(given, expected)

    monkeypatch.setattr(hmac, "compare_digest", note)
    key, kept = make("me", ["read"])
    assert check({kept.id: kept}, key, NOW)
    assert not check({}, key, NOW)
    assert not check({}, "", NOW)
    assert [given for given, _ in compared] == [digest_of(key), digest_of(key), digest_of("")]
    assert {len(expected) for _, expected in compared} == {64}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"name": " a"},
        {"name": "a" * 101},
        {"scopes": []},
        {"scopes": ["all"]},
        {"rate": 0.0},
        {"rate": float("inf")},
        {"burst": 0},
        {"concurrency": 0},
    ],
)
def test_what_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        make(**{"name": "me", "scopes": ["read"], **wrong})
