"""A client for the service, with and without asyncio. Needs no torch.

ClientError                everything below
├── ServiceError           the service answered with a problem: what it says, and the status
└── ServiceUnreachable     no answer: not running, another address, or out of time

with Client("http://127.0.0.1:8000") as client:
    client.add("forklift", ["a.jpg", "b.jpg"])
    print(client.classify("c.jpg").label)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Protocol, Self, TypeVar

import httpx

from service import calls
from service.calls import Call, ImageSource
from service.history_schemas import CacheVersion, Difference, RolledBack
from service.inputs import DEFAULT_TIMEOUT
from service.schemas import (
    AdapterState,
    Added,
    BatchClassification,
    CacheState,
    ClassChanged,
    ClassDeleted,
    Classification,
    ClassInfo,
    Failure,
    Health,
    ProblemDocument,
    Shot,
    ShotChanged,
    ShotDeleted,
    Verdict,
    Version,
)
from service.transport import (
    ClientError,
    ServiceError,
    ServiceUnreachable,
    authorization,
    base_url,
    read,
    request,
    unreachable,
)

__all__ = [
    "AdapterState",
    "Added",
    "AsyncClient",
    "BatchClassification",
    "CacheState",
    "CacheVersion",
    "ClassChanged",
    "ClassDeleted",
    "ClassInfo",
    "Classification",
    "Client",
    "ClientError",
    "Difference",
    "Failure",
    "ImageSource",
    "ProblemDocument",
    "RolledBack",
    "ServiceError",
    "ServiceUnreachable",
    "Shot",
    "ShotChanged",
    "ShotDeleted",
    "Verdict",
    "Version",
]

DEFAULT_URL = "http://127.0.0.1:8000"
PAGE = 1_000

Answer = TypeVar("Answer")


class _Page(Protocol):
    """A part of a list; another one follows if it has a cursor."""

    next_cursor: str | None


Listed = TypeVar("Listed", bound=_Page)


class Client:
    """Calls the service and waits.

    Args:
        url: where it listens.
        key: an API key, where the service asks for one.
        timeout: seconds to wait for an answer.
        transport: how to send, instead of over the network.

    Every call raises ServiceError where the service refuses, and ServiceUnreachable where
    nothing answers.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=base_url(url),
            headers=authorization(key),
            timeout=timeout,
            transport=transport,
        )

    def classify(
        self,
        image: ImageSource | None = None,
        *,
        embedding: Sequence[float] | None = None,
        top_k: int = 5,
        explain: int = 5,
        min_confidence: float = 0.0,
    ) -> Classification:
        """What one image (bytes or a path), or its ready embedding, is taken for, and why."""
        return self._send(calls.classify(image, embedding, top_k, explain, min_confidence))

    def classify_batch(
        self,
        images: Sequence[ImageSource],
        *,
        top_k: int = 5,
        explain: int = 5,
        min_confidence: float = 0.0,
    ) -> BatchClassification:
        """Up to 128 images; a `Failure` stands in the place of one that is bad."""
        return self._send(calls.classify_batch(images, top_k, explain, min_confidence))

    def add(
        self,
        label: str,
        images: Sequence[ImageSource],
        *,
        captions: Sequence[str | None] | None = None,
        relabel: bool = False,
        idempotency_key: str | None = None,
    ) -> Added:
        """Teach up to 64 images of one label; all of them or none."""
        return self._send(calls.add(label, images, captions, relabel, idempotency_key))

    def cache(self) -> CacheState:
        """What the cache holds, and what answers are made with."""
        return self._send(calls.cache())

    def adapter(self) -> AdapterState:
        """Which adapter serves, and how it came to be."""
        return self._send(calls.adapter())

    def versions(self) -> Iterator[CacheVersion]:
        """All changes of the cache, newest first."""
        pages = self._pages(lambda cursor: calls.versions(PAGE, cursor))
        return (each for page in pages for each in page.versions)

    def diff(self, before: int, after: int) -> Iterator[Difference]:
        """All that differs between two versions, either of which may be the later one."""
        pages = self._pages(lambda cursor: calls.diff(before, after, PAGE, cursor))
        return (each for page in pages for each in page.differences)

    def rollback(self, version: int) -> RolledBack:
        """Have in force again what was at a version, as a further version."""
        return self._send(calls.rollback(version))

    def shots(self, label: str | None = None) -> Iterator[Shot]:
        """All shots, of one class or of all, oldest first."""
        pages = self._pages(lambda cursor: calls.shots(label, PAGE, cursor))
        return (each for page in pages for each in page.shots)

    def shot(self, shot_id: str) -> Shot:
        """One shot."""
        return self._send(calls.shot(shot_id))

    def relabel(self, shot_id: str, label: str) -> ShotChanged:
        """Move a shot to another class; a new one is made."""
        return self._send(calls.relabel(shot_id, label))

    def forget(self, shot_id: str) -> ShotDeleted:
        """Delete a shot."""
        return self._send(calls.forget(shot_id))

    def thumbnail(self, shot_id: str) -> bytes:
        """A shot's picture, as WebP."""
        return self._send(calls.thumbnail(shot_id))

    def classes(self) -> Iterator[ClassInfo]:
        """All classes."""
        pages = self._pages(lambda cursor: calls.classes(PAGE, cursor))
        return (each for page in pages for each in page.classes)

    def class_info(self, label: str) -> ClassInfo:
        """One class."""
        return self._send(calls.class_info(label))

    def put_class(self, label: str, prompts: Sequence[str] | None = None) -> ClassChanged:
        """Make a class, or change its prompts; None is the cache's templates with its label."""
        return self._send(calls.put_class(label, prompts))

    def delete_class(self, label: str) -> ClassDeleted:
        """Delete a class with its shots."""
        return self._send(calls.delete_class(label))

    def ready(self) -> Health:
        """Whether the service answers; a ServiceError until it does."""
        return self._send(calls.ready())

    def version(self) -> Version:
        """What is running."""
        return self._send(calls.version())

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pages(self, call: Callable[[str | None], Call[Listed]]) -> Iterator[Listed]:
        page = self._send(call(None))
        yield page
        while page.next_cursor is not None:
            page = self._send(call(page.next_cursor))
            yield page

    def _send(self, call: Call[Answer]) -> Answer:
        try:
            response = self._http.send(request(self._http, call))
        except httpx.TransportError as error:
            raise unreachable(self._http.base_url, error) from error
        return read(call, response)


class AsyncClient:
    """`Client`, with each call to be awaited."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url(url),
            headers=authorization(key),
            timeout=timeout,
            transport=transport,
        )

    async def classify(
        self,
        image: ImageSource | None = None,
        *,
        embedding: Sequence[float] | None = None,
        top_k: int = 5,
        explain: int = 5,
        min_confidence: float = 0.0,
    ) -> Classification:
        """As `Client.classify`."""
        return await self._send(calls.classify(image, embedding, top_k, explain, min_confidence))

    async def classify_batch(
        self,
        images: Sequence[ImageSource],
        *,
        top_k: int = 5,
        explain: int = 5,
        min_confidence: float = 0.0,
    ) -> BatchClassification:
        """As `Client.classify_batch`."""
        return await self._send(calls.classify_batch(images, top_k, explain, min_confidence))

    async def add(
        self,
        label: str,
        images: Sequence[ImageSource],
        *,
        captions: Sequence[str | None] | None = None,
        relabel: bool = False,
        idempotency_key: str | None = None,
    ) -> Added:
        """As `Client.add`."""
        return await self._send(calls.add(label, images, captions, relabel, idempotency_key))

    async def cache(self) -> CacheState:
        """As `Client.cache`."""
        return await self._send(calls.cache())

    async def adapter(self) -> AdapterState:
        """As `Client.adapter`."""
        return await self._send(calls.adapter())

    async def versions(self) -> AsyncIterator[CacheVersion]:
        """As `Client.versions`."""
        async for page in self._pages(lambda cursor: calls.versions(PAGE, cursor)):
            for each in page.versions:
                yield each

    async def diff(self, before: int, after: int) -> AsyncIterator[Difference]:
        """As `Client.diff`."""
        async for page in self._pages(lambda cursor: calls.diff(before, after, PAGE, cursor)):
            for each in page.differences:
                yield each

    async def rollback(self, version: int) -> RolledBack:
        """As `Client.rollback`."""
        return await self._send(calls.rollback(version))

    async def shots(self, label: str | None = None) -> AsyncIterator[Shot]:
        """As `Client.shots`."""
        async for page in self._pages(lambda cursor: calls.shots(label, PAGE, cursor)):
            for each in page.shots:
                yield each

    async def shot(self, shot_id: str) -> Shot:
        """As `Client.shot`."""
        return await self._send(calls.shot(shot_id))

    async def relabel(self, shot_id: str, label: str) -> ShotChanged:
        """As `Client.relabel`."""
        return await self._send(calls.relabel(shot_id, label))

    async def forget(self, shot_id: str) -> ShotDeleted:
        """As `Client.forget`."""
        return await self._send(calls.forget(shot_id))

    async def thumbnail(self, shot_id: str) -> bytes:
        """As `Client.thumbnail`."""
        return await self._send(calls.thumbnail(shot_id))

    async def classes(self) -> AsyncIterator[ClassInfo]:
        """As `Client.classes`."""
        async for page in self._pages(lambda cursor: calls.classes(PAGE, cursor)):
            for each in page.classes:
                yield each

    async def class_info(self, label: str) -> ClassInfo:
        """As `Client.class_info`."""
        return await self._send(calls.class_info(label))

    async def put_class(self, label: str, prompts: Sequence[str] | None = None) -> ClassChanged:
        """As `Client.put_class`."""
        return await self._send(calls.put_class(label, prompts))

    async def delete_class(self, label: str) -> ClassDeleted:
        """As `Client.delete_class`."""
        return await self._send(calls.delete_class(label))

    async def ready(self) -> Health:
        """As `Client.ready`."""
        return await self._send(calls.ready())

    async def version(self) -> Version:
        """As `Client.version`."""
        return await self._send(calls.version())

    async def close(self) -> None:
        """As `Client.close`."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _pages(self, call: Callable[[str | None], Call[Listed]]) -> AsyncIterator[Listed]:
        page = await self._send(call(None))
        yield page
        while page.next_cursor is not None:
            page = await self._send(call(page.next_cursor))
            yield page

    async def _send(self, call: Call[Answer]) -> Answer:
        try:
            response = await self._http.send(request(self._http, call))
        except httpx.TransportError as error:
            raise unreachable(self._http.base_url, error) from error
        return read(call, response)
