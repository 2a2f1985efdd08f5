"""The labelled pictures that the measurements teach with and ask about.

Fixed lists: a test list is always the same, and shots come from the training part alone.
"""

from __future__ import annotations

import io
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adapter.drawings import DEMO_CLASSES, demo_image

KNOWN = ("airplane", "automobile", "bird", "cat", "dog", "horse", "ship")
"""CIFAR-10's classes that the shipped model saw in pre-training."""
TAUGHT = ("deer", "frog", "truck")
"""Those that it never saw."""

Pictures = dict[str, list[bytes]]
"""label -> encoded images."""


@dataclass(frozen=True)
class PictureSet:
    """Pictures to draw shots from, and others to ask about."""

    name: str
    train: Pictures
    test: Pictures

    @property
    def labels(self) -> list[str]:
        """All class names, sorted."""
        return sorted(self.test)

    def shots(self, label: str, count: int, seed: int) -> list[bytes]:
        """`count` shots of a class, the first ones of an order drawn from the seed."""
        pool = self.train[label]
        order = np.random.default_rng([seed, self.labels.index(label)]).permutation(len(pool))
        return [pool[i] for i in order[:count]]


def read_zip(path: Path, split: str, limit: int | None = None) -> Pictures:
    """The first `limit` pictures a class, by name, of `split/class/*` in a zip."""
    pictures: Pictures = defaultdict(list)
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            parts = name.split("/")
            if len(parts) != 3 or parts[0] != split or not parts[2]:
                continue
            if limit is None or len(pictures[parts[1]]) < limit:
                pictures[parts[1]].append(archive.read(name))
    return dict(pictures)


def cifar10(data: Path) -> PictureSet:
    """CIFAR-10: 500 training pictures a class to draw from, the first 200 test pictures a class."""
    return PictureSet(
        "CIFAR-10",
        read_zip(data / "cifar10-train.zip", "train", 500),
        read_zip(data / "cifar10-test.zip", "test", 200),
    )


def clothing(data: Path) -> PictureSet:
    """A shop's ten kinds of clothes: 64 a class to draw from, 372 to ask about."""
    path = data / "clothing.zip"
    return PictureSet("clothing", read_zip(path, "train"), read_zip(path, "test"))


def drawings(first_train: int = 10_000, first_test: int = 20_000) -> PictureSet:
    """The demo's twelve drawn classes: 60 to draw from and 50 to ask about, of other seeds."""

    def rendered(label: str, first: int, count: int) -> list[bytes]:
        pictures = []
        for seed in range(first, first + count):
            buffer = io.BytesIO()
            demo_image(label, seed).save(buffer, "PNG")
            pictures.append(buffer.getvalue())
        return pictures

    return PictureSet(
        "demo drawings",
        {label: rendered(label, first_train, 60) for label in DEMO_CLASSES},
        {label: rendered(label, first_test, 50) for label in DEMO_CLASSES},
    )
