"""What a mutation does to a file, and that it can be made again."""

from __future__ import annotations

import zlib
from collections import Counter
from io import BytesIO

import pytest
from PIL import Image

from adapter.images import ImageError, open_image
from benchmarks.torture.mutation import PNG_START, mutated, parts


def files() -> list[bytes]:
    made = []
    for kind in ("JPEG", "PNG", "WEBP"):
        stream = BytesIO()
        Image.linear_gradient("L").resize((16, 16)).save(stream, kind)
        made.append(stream.getvalue())
    return made


def test_the_same_number_gives_the_same_mutation() -> None:
    seeds = files()
    made = [mutated(seeds, number) for number in range(200)]
    assert made == [mutated(seeds, number) for number in range(200)]
    assert len(set(made)) > 150
    assert sum(data not in seeds for data in made) > 180


def test_parts_are_where_they_are() -> None:
    jpeg, png, webp = files()
    first, *_, last = parts(jpeg)
    assert (jpeg[first.start + 1], jpeg[last.start + 1]) == (0xE0, 0xDA)
    assert [png[part.start + 4 : part.start + 8] for part in parts(png)] == [
        b"IHDR",
        b"IDAT",
        b"IEND",
    ]
    assert [webp[part.start : part.end] for part in parts(webp)] == [webp[12:]]


def test_most_damage_is_behind_what_a_checksum_would_end() -> None:
    _, png, _ = files()
    right = 0
    made = [mutated([png], number) for number in range(300)]
    kept = [data for data in made if data.startswith(PNG_START)]
    for data in kept:
        chunks = [data[part.start : part.end] for part in parts(data)]
        right += all(
            zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
            for chunk in chunks
            if len(chunk) >= 12
        )
    assert right > 0.6 * len(kept)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mutations_reach_the_decoders_in_many_ways(seed: int) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(300):
        try:
            open_image(mutated([files()[seed]], number))
        except ImageError as error:
            outcomes[type(error).__name__] += 1
        else:
            outcomes["image"] += 1
    assert set(outcomes) >= {"image", "UndecodableImage", "UnsupportedImage", "ImageTooLarge"}
    assert outcomes["image"] > 20
