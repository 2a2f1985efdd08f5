"""100,000 mutated images, decoded as the service does, and some of them sent to a service.

An outcome is an image or an ImageError, and over HTTP an answer or one of the refusals that are
documented for bad images. What crashed or hung is kept in `KEPT`, for a test.
"""

from __future__ import annotations

import base64
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx

from adapter.images import ImageLimits
from benchmarks.torture.decoding import HANG_SECONDS, decode
from benchmarks.torture.mutation import mutated
from benchmarks.torture.row import Clock, Row
from benchmarks.torture.seeds import seeds
from tests.e2e.process import PIXELS, Process, running

IMAGES = 100_000
SENT = 5_000
BATCH = 4
KEPT = Path("var/torture")
BYTES_A_PIXEL = 16
BESIDE = 128
"""MB beside the pixels: the file itself, and what the allocator keeps."""

ALLOWED = {200, 201, 400, 413, 415, 422}
HEADERS = {b"\xff": "image/jpeg", b"\x89": "image/png"}
Send = Callable[[httpx.Client, Sequence[bytes]], Iterator[int]]


def run(effort: float, folder: Path) -> Sequence[Row]:
    """Decode, and send; the rows."""
    drawn = seeds()
    count, sent = max(1, round(IMAGES * effort)), max(1, round(SENT * effort))
    return [_decoded(drawn, count), *_sent(drawn, sent, folder)]


def most_megabytes() -> float:
    """That decoding one image may take, with the pixel limit that is set by default."""
    return ImageLimits().max_pixels * BYTES_A_PIXEL / 2**20 + BESIDE


def _decoded(drawn: Sequence[bytes], count: int) -> Row:
    clock = Clock()
    found = decode(drawn, count, os.cpu_count() or 1)
    for number in (*found.crashes, *found.hangs, *found.strays):
        KEPT.mkdir(parents=True, exist_ok=True)
        (KEPT / f"mutation-{number}").write_bytes(mutated(drawn, number))
    wrong = (*found.crashes, *found.hangs, *found.strays)
    seconds, slowest = found.slowest
    return Row(
        "mutated JPEG, PNG and WebP",
        f"{found.done:,} ({found.images:,} decoded, {found.refused:,} refused), "
        f"{len(found.crashes)} crashes, {len(found.hangs)} hangs, {len(found.strays)} other "
        f"errors, resident memory +{found.growth:.0f} MB, "
        f"slowest {seconds:.1f} s (mutation {slowest})",
        f"{count:,}, 0 crashes, 0 hangs ({HANG_SECONDS:.0f} s an image), 0 other errors, "
        f"resident memory at most +{most_megabytes():.0f} MB",
        found.done == count and not wrong and found.growth <= most_megabytes(),
        clock.seconds,
    )


def _sent(drawn: Sequence[bytes], count: int, folder: Path) -> Iterator[Row]:
    clock = Clock()
    with running(*PIXELS, cwd=folder, cache=folder / "cache") as process:
        process.ready().close()
        with httpx.Client(base_url=process.url, timeout=HANG_SECONDS) as http:
            http.put("/classes/other").raise_for_status()
            before = _peak(process)
            statuses = Counter(_statuses(http, drawn, count))
            alive = http.get("/readyz").status_code == 200
        growth = _peak(process) - before
    strange = sum(times for status, times in statuses.items() if status not in ALLOWED)
    shown = ", ".join(f"{times:,} x {status}" for status, times in sorted(statuses.items()))
    yield Row(
        "mutated images over HTTP",
        f"{statuses.total():,}: {shown}; {strange} others, resident memory +{growth:.0f} MB",
        f"{count:,}, 0 others, ready at the end",
        statuses.total() >= count and not strange and alive,
        clock.seconds,
    )


def _statuses(http: httpx.Client, drawn: Sequence[bytes], count: int) -> Iterator[int]:
    """Send each image in one of the ways in which images come."""
    ways: Iterator[Send] = itertools.cycle((_raw, _raw, _form, _json, _taught))
    numbers = iter(range(count))
    while taken := list(itertools.islice(numbers, BATCH)):
        yield from next(ways)(http, [mutated(drawn, number) for number in taken])


def _raw(http: httpx.Client, images: Sequence[bytes]) -> Iterator[int]:
    for image in images:
        headers = {"Content-Type": HEADERS.get(image[:1], "image/webp")}
        yield http.post("/classify", content=image, headers=headers).status_code


def _form(http: httpx.Client, images: Sequence[bytes]) -> Iterator[int]:
    for image in images:
        yield http.post("/classify", files={"image": image}).status_code


def _json(http: httpx.Client, images: Sequence[bytes]) -> Iterator[int]:
    body = {"images": [base64.b64encode(image).decode() for image in images]}
    answer = http.post("/classify/batch", json=body)
    if answer.status_code != 200:
        yield from [answer.status_code] * len(images)
        return
    for result in answer.json()["results"]:
        yield result["error"]["status"] if "error" in result else 200


def _taught(http: httpx.Client, images: Sequence[bytes]) -> Iterator[int]:
    for image in images:
        files = {"image": image}
        yield http.post("/cache/add", data={"label": "mutated"}, files=files).status_code


def _peak(process: Process) -> float:
    """The most memory that it has held so far, in MB."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
