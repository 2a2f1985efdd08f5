"""Sending a call and reading its answer: what the two clients share, and what they raise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import httpx
from pydantic import ValidationError

from service.calls import Call
from service.schemas import ProblemDocument

Answer = TypeVar("Answer")

ADVICE: Mapping[int, str] = {
    401: " (here: --api-key or XMADAPTER_API_KEY; in Python, Client(key=...))",
}


class ClientError(Exception):
    """The call gave no answer that could be used."""


class ServiceError(ClientError):
    """The service refused, and said why.

    Attributes:
        problem: what it said: type, title, status, detail, request id.
        retry_after: seconds after which to try again, where it said so.
    """

    def __init__(self, problem: ProblemDocument, retry_after: float | None = None) -> None:
        advice = ADVICE.get(problem.status, "")
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}{advice}")
        self.problem = problem
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        """The HTTP status code."""
        return self.problem.status


class ServiceUnreachable(ClientError):  # noqa: N818 (reads as what happened)
    """Nothing answered at the address, or not in time."""


def base_url(url: str) -> httpx.URL:
    """The service's address.

    Raises:
        ClientError: it is none.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ClientError(f"expected an address like http://127.0.0.1:8000, got {url!r}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ClientError(f"expected an address like http://127.0.0.1:8000, got {url!r}")
    return parsed


def authorization(key: str | None) -> dict[str, str]:
    """The header that sends an API key.

    Raises:
        ClientError: it cannot be one.
    """
    if key is None:
        return {}
    if not key.isascii() or not key.isprintable() or " " in key or not key:
        raise ClientError(
            "expected an API key as `xmadapter keys create` printed it (xma_...), got something "
            f"else, of {len(key)} characters"
        )
    return {"Authorization": f"Bearer {key}"}


def request(http: httpx.Client | httpx.AsyncClient, call: Call[Answer]) -> httpx.Request:
    """The call as a request."""
    return http.build_request(
        call.method,
        call.path,
        params=call.params,
        headers=call.headers,
        content=call.content,
        json=call.json,
        data=call.data,
        files=call.files,
    )


def read(call: Call[Answer], response: httpx.Response) -> Answer:
    """The call's answer.

    Raises:
        ServiceError: a problem.
        ClientError: something that is no answer of this service.
    """
    try:
        if response.is_success:
            return call.read(response)
        problem = ProblemDocument.model_validate_json(response.content)
    except ValidationError as error:
        raise ClientError(
            f"expected an answer of the XMAdapter service at {response.url}, "
            f"got {response.status_code} with {response.text[:200]!r}"
        ) from error
    wait = response.headers.get("Retry-After", "")
    raise ServiceError(problem, float(wait) if wait.isdecimal() else None)


def unreachable(url: httpx.URL, error: httpx.TransportError) -> ServiceUnreachable:
    """What to say when nothing came back."""
    if isinstance(error, httpx.TimeoutException):
        return ServiceUnreachable(f"no answer from {url} in time: it is busy, or not the service")
    return ServiceUnreachable(
        f"no answer from {url} ({error}): is it running (xmadapter serve), and at this address?"
    )
