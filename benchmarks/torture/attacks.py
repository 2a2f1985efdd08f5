"""What callers may send to take a service down: each an attack that goes on for some seconds.

`python -m benchmarks.torture.attacks NAME URL SECONDS SOCKETS` runs one, in a process of its own at
a low priority (a real attacker would have cores of their own), and prints what came of it as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

import uvloop

from benchmarks.torture.pictures import picture
from benchmarks.torture.wire import Address, Connection, Reply, connect, head, post

NICENESS = 10
PAUSE = 0.05
PATIENCE = 15.0
BOUNDARY = "xyz"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
MEGABYTE = 2**20
JSON = "application/json"


@dataclass
class Outcome:
    """What came of an attack.

    Attributes:
        statuses: answers by their status; "0" is a connection closed without an answer.
        slowest: seconds to the latest answer.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    def note(self, reply: Reply) -> None:
        """Count an answer."""
        self.statuses[str(reply.status)] += 1
        self.slowest = max(self.slowest, reply.seconds)


Attack = Callable[[Address, float, int, Outcome], Awaitable[None]]
"""Of an address, until a time of `time.perf_counter`, with so many sockets where sockets count."""


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


def png(width: int, height: int, rows: int) -> bytes:
    """A grey PNG that claims `height` rows, and holds `rows` of zeros, squeezed a thousandfold."""
    squeeze = zlib.compressobj(9)
    row = bytes(width + 1)
    data = b"".join(squeeze.compress(row) for _ in range(rows)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (_chunk(b"IHDR", header), _chunk(b"IDAT", data), _chunk(b"IEND", b""))
    )


def claiming_jpeg(side: int) -> bytes:
    """A small JPEG whose frame claims to be `side` pixels wide and high."""
    data = bytearray(picture(1, form="JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    return bytes(data)


def claiming_webp() -> bytes:
    """A WebP whose canvas claims to be as large as the format allows."""
    data = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xfe\xff\x3f\xfe\xff\x3f"
    return b"RIFF" + struct.pack("<I", len(data) + 4) + b"WEBP" + data


@lru_cache(maxsize=1)
def bombs() -> list[bytes]:
    """Requests with images that claim, or hold, far more pixels than are allowed."""
    images = {
        "image/png": [png(60_000, 60_000, 1), png(10_000, 10_000, 10_000)],
        "image/jpeg": [claiming_jpeg(65_000)],
        "image/webp": [claiming_webp()],
    }
    return [post("/classify", data, kind) for kind, group in images.items() for data in group]


def form(parts: Iterable[tuple[str, bytes]]) -> bytes:
    """The body of a multipart form."""
    pieces = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in parts
    ]
    return b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()


@lru_cache(maxsize=1)
def floods() -> list[bytes]:
    """Requests of as many over-large images as one may have."""
    large = png(9000, 9000, 20)
    parts = [("label", b"flood"), *[("image", large)] * 64]
    return [post("/cache/add", form(parts), FORM)]


@lru_cache(maxsize=1)
def forms() -> list[bytes]:
    """Forms of 10,000 parts, of headers without end, and of what is nearly a boundary."""
    many = form([("image", b"x")] * 10_000)
    start = f"--{BOUNDARY}\r\n".encode()
    nearly = form([("image", f"\r\n--{BOUNDARY}A".encode() * 100_000)])
    bodies = [
        ("/cache/add", many),
        ("/classify/batch", many),
        ("/classify", start + b"A: b\r\n" * 10_000),
        ("/classify", start + b"A: " + b"x" * MEGABYTE),
        ("/classify", nearly),
    ]
    return [post(path, body, FORM) for path, body in bodies]


@lru_cache(maxsize=1)
def header_floods() -> list[bytes]:
    """Heads that are too long, in each of their parts."""
    return [
        b"GET /" + b"x" * MEGABYTE + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * MEGABYTE + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x" * MEGABYTE,
    ]


@lru_cache(maxsize=1)
def json_floods() -> list[bytes]:
    """JSON of ten million numbers, of lists in lists, of many names, of many mistakes."""
    numbers = b'{"embeddings": [[' + b"1," * 10_000_000 + b"1]]}"
    bodies = [
        ("/classify/batch", numbers),
        ("/classify", b"[" * MEGABYTE),
        ("/classify", b'{"a":' * 200_000),
        ("/cache/add", b"{" + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}"),
        ("/classify/batch", b'{"images": [' + b"1," * 100_000 + b"1]}"),
    ]
    return [post(path, body, JSON) for path, body in bodies]


async def _repeat(
    requests: list[bytes], address: Address, end: float, outcome: Outcome, callers: int = 2
) -> None:
    """Send requests one after another, with a short pause, each on a connection of its own."""

    async def caller(first: int) -> None:
        number = first
        while number == first or time.perf_counter() < end:
            connection = await connect(address)
            outcome.note(await connection.ask(requests[number % len(requests)]))
            connection.close()
            number += callers
            await asyncio.sleep(PAUSE)

    await asyncio.gather(*map(caller, range(callers)))


async def _drip(
    begun: bytes, drop: bytes, address: Address, end: float, sockets: int, outcome: Outcome
) -> None:
    """Many sockets that each begin a request, and send a drop of it now and then; each once."""
    late = end + PATIENCE

    async def one(number: int) -> None:
        await asyncio.sleep(number / sockets)
        connection = await connect(address)
        connection.begin()
        connection.write(begun)
        while not (connection.answered or connection.closed) and time.perf_counter() < late:
            await asyncio.sleep(0.2)
            connection.write(drop)
        outcome.note(await connection.answer(0.1))
        connection.close()

    await asyncio.gather(*map(one, range(sockets)))


async def _bombs(address: Address, end: float, sockets: int, outcome: Outcome) -> None:
    await _repeat(bombs(), address, end, outcome)


async def _floods(address: Address, end: float, sockets: int, outcome: Outcome) -> None:
    await _repeat(floods(), address, end, outcome)


async def _forms(address: Address, end: float, sockets: int, outcome: Outcome) -> None:
    await _repeat(forms(), address, end, outcome)


async def _header_floods(address: Address, end: float, sockets: int, outcome: Outcome) -> None:
    await _repeat(header_floods(), address, end, outcome)


async def _json_floods(address: Address, end: float, sockets: int, outcome: Outcome) -> None:
    await _repeat(json_floods(), address, end, outcome)


async def _slow_heads(address: Address, end: float, sockets: int, outcome: Outcome) -> None:
    await _drip(b"GET / HTTP/1.1\r\n", b"A: b\r\n", address, end, sockets, outcome)


async def _slow_bodies(address: Address, end: float, sockets: int, outcome: Outcome) -> None:
    begun = head("/classify", "image/png", "Content-Length: 50000")
    await _drip(begun, b"x" * 10, address, end, sockets, outcome)


async def _silence(address: Address, end: float, sockets: int, outcome: Outcome) -> None:
    await _drip(b"", b"", address, end, sockets, outcome)


async def _endless(address: Address, end: float, sockets: int, outcome: Outcome) -> None:
    """Chunked bodies that never end."""
    begun = head("/classify", "image/png", "Transfer-Encoding: chunked")
    piece = b"40000\r\n" + bytes(0x40000) + b"\r\n"

    async def pour(connection: Connection) -> None:
        while not connection.answered and not connection.closed:
            connection.write(piece)
            await connection.drain()
            await asyncio.sleep(0.005)

    first = True
    while first or time.perf_counter() < end:
        first = False
        connection = await connect(address)
        connection.begin()
        connection.write(begun)
        await pour(connection)
        outcome.note(await connection.answer(5))
        connection.close()
        await asyncio.sleep(PAUSE)


ATTACKS: dict[str, Attack] = {
    "bombs": _bombs,
    "floods": _floods,
    "forms": _forms,
    "slow_heads": _slow_heads,
    "slow_bodies": _slow_bodies,
    "silence": _silence,
    "header_floods": _header_floods,
    "json_floods": _json_floods,
    "endless": _endless,
}


def prepare(name: str) -> None:
    """Make what the attack sends, so that it need not be made while it goes on."""
    for made in (bombs, floods, forms, header_floods, json_floods):
        if made.__name__ == name:
            made()


def attack(name: str, url: str, seconds: float, sockets: int, outcome: Outcome) -> None:
    """Run an attack for so long, or until its sockets have their answers."""

    async def run() -> None:
        await ATTACKS[name](Address.of(url), time.perf_counter() + seconds, sockets, outcome)

    uvloop.run(run())


def main(name: str, url: str, seconds: float, sockets: int) -> None:
    """Run an attack when a line comes, and print its outcome."""
    os.nice(NICENESS)
    prepare(name)
    print("prepared", flush=True)
    sys.stdin.readline()
    outcome = Outcome()
    attack(name, url, seconds, sockets, outcome)
    print(json.dumps(vars(outcome)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
