"""API keys as values: made, hashed, compared.

A key is 256 random bits, which no list of guesses comes near. A plain SHA-256 keeps it, then; a
slow hash would win nothing, and let callers with wrong keys make the service work.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from service.scopes import Scope

PREFIX = "xma_"
ID_BYTES = 6
SECRET_BYTES = 32
_ID = slice(len(PREFIX), len(PREFIX) + 2 * ID_BYTES)
# What an unknown id is compared with, so that it takes the same work as a known one.
_NOBODY = "0" * 64


def _printable(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError("expected printable text without space at its ends")
    return name


class Key(BaseModel):
    """What is kept of a key.

    Attributes:
        id: names the key in lists and in the log; no secret.
        name: whose it is; the history of changes shows it.
        digest: SHA-256 of the whole key, in hexadecimal.
        scopes: what it may do.
        created, expires: when; without `expires` it is good until it is revoked.
        rate: requests a second; None: the service's setting.
        burst: requests at once, after a pause; None: the service's setting.
        concurrency: requests under way; None: the service's setting.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    id: str = Field(pattern=f"^[0-9a-f]{{{2 * ID_BYTES}}}$")
    name: Annotated[str, AfterValidator(_printable)] = Field(min_length=1, max_length=100)
    digest: str = Field(pattern="^[0-9a-f]{64}$", repr=False)
    scopes: tuple[Scope, ...] = Field(min_length=1)
    created: AwareDatetime
    expires: AwareDatetime | None = None
    rate: float | None = Field(None, gt=0, allow_inf_nan=False)
    burst: int | None = Field(None, ge=1)
    concurrency: int | None = Field(None, ge=1)

    def expired(self, now: datetime) -> bool:
        """Whether its time is over, by the system's clock."""
        return self.expires is not None and self.expires <= now


def make(
    name: str,
    scopes: Sequence[str],
    *,
    expires: datetime | None = None,
    rate: float | None = None,
    burst: int | None = None,
    concurrency: int | None = None,
) -> tuple[str, Key]:
    """A new key, which is nowhere but in this answer, and what to keep of it.

    Raises:
        pydantic.ValidationError: a name, a scope or a limit that cannot be.
    """
    identity = secrets.token_hex(ID_BYTES)
    key = f"{PREFIX}{identity}_{secrets.token_urlsafe(SECRET_BYTES)}"
    kept = {
        "id": identity,
        "name": name,
        "digest": digest_of(key),
        "scopes": tuple(dict.fromkeys(scopes)),
        "created": datetime.now(UTC),
        "expires": expires,
        "rate": rate,
        "burst": burst,
        "concurrency": concurrency,
    }
    return key, Key.model_validate(kept)


def digest_of(key: str) -> str:
    """SHA-256 of a key, in hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def check(known: Mapping[str, Key], given: str, now: datetime) -> Key | None:
    """Whose key it is; None where it is nobody's, or its time is over.

    Takes the same work whether or not the id is known, and compares in constant time.

    Args:
        known: the keys, by id.
        given: what a caller sent.
        now: to compare with the end of a key's time.
    """
    found = known.get(given[_ID])
    same = hmac.compare_digest(digest_of(given), _NOBODY if found is None else found.digest)
    return found if found is not None and same and not found.expired(now) else None
