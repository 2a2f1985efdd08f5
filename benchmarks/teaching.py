"""How right the service is before and after being taught, asked and taught over HTTP."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold

from adapter.encoder import Encoder
from adapter.images import open_image, to_pixels
from benchmarks.photographs import PictureSet
from benchmarks.server import Server, serving
from service.client import Failure

SHOTS = (1, 2, 4, 8, 16)
SEEDS = (1, 2, 3)
BATCH = 100


@dataclass(frozen=True)
class Score:
    """Accuracy after teaching, with one seed.

    Attributes:
        task: what was taught, and on which pictures.
        group: which of the test pictures are counted.
        method: "service" or "linear probe".
        shots: a class, 0 before teaching.
        seed: of the shots.
        accuracy: in percent.
    """

    task: str
    group: str
    method: str
    shots: int
    seed: int
    accuracy: float


@dataclass(frozen=True)
class Task:
    """What to teach, and which groups of test pictures to count apart."""

    name: str
    pictures: PictureSet
    taught: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]


def scores(task: Task, seed: int, encoder: Encoder, method: str | None) -> Iterator[Score]:
    """Teach a fresh service class by class, ever more shots, and ask about every test picture."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "cache", *(("--method", method) if method else ())) as server,
    ):
        for label in task.pictures.labels:
            server.client.put_class(label)
        truth, images = listed(task.pictures)
        yield from _counted(task, seed, 0, "service", truth, ask(server, images))
        features = embed(encoder, images)
        before = 0
        for shots in SHOTS:
            given = {label: task.pictures.shots(label, shots, seed) for label in task.taught}
            for label, pictures in given.items():
                server.client.add(label, pictures[before:])
            before = shots
            server.settle()
            yield from _counted(task, seed, shots, "service", truth, ask(server, images))
            if set(task.taught) == set(task.pictures.labels):
                probed = probe(encoder, given, features)
                yield from _counted(task, seed, shots, "linear probe", truth, probed)


def listed(pictures: PictureSet) -> tuple[list[str], list[bytes]]:
    """Labels and test pictures, side by side."""
    pairs = [(label, image) for label in pictures.labels for image in pictures.test[label]]
    return [label for label, _ in pairs], [image for _, image in pairs]


def ask(server: Server, images: Sequence[bytes]) -> list[str]:
    """The service's answers, a label a picture."""
    answers: list[str] = []
    for start in range(0, len(images), BATCH):
        found = server.client.classify_batch(images[start : start + BATCH], top_k=1, explain=0)
        for result in found.results:
            if isinstance(result, Failure) or result.label is None:
                raise RuntimeError(f"expected a label, got {result}")
            answers.append(result.label)
    return answers


def embed(encoder: Encoder, images: Sequence[bytes]) -> NDArray[np.float32]:
    """(N, D) features of encoded images, as the service computes them."""
    parts = []
    for start in range(0, len(images), BATCH):
        pixels = [
            to_pixels(open_image(data), encoder.preprocessing)
            for data in images[start : start + BATCH]
        ]
        parts.append(encoder.encode_images(torch.stack(pixels)).cpu().numpy())
    return np.concatenate(parts)


def probe(
    encoder: Encoder, shots: dict[str, list[bytes]], features: NDArray[np.float32]
) -> list[str]:
    """A linear probe on the same features: logistic regression, its C cross-validated on the shots.

    With one shot a class nothing can be held out, and C stays at 1,000, for unit-norm features.
    """
    labels = [label for label, pictures in shots.items() for _ in pictures]
    x = embed(encoder, [picture for pictures in shots.values() for picture in pictures])
    count = len(labels) // len(shots)
    if count == 1:
        model = LogisticRegression(C=1000.0, max_iter=1000)
    else:
        folds = StratifiedKFold(min(count, 4), shuffle=True, random_state=0)
        model = LogisticRegressionCV(
            Cs=np.logspace(-1, 4, 6), cv=folds, max_iter=1000, use_legacy_attributes=False
        )
    return list(model.fit(x, labels).predict(features))


def _counted(
    task: Task, seed: int, shots: int, method: str, truth: list[str], answers: list[str]
) -> Iterator[Score]:
    right = np.array([a == b for a, b in zip(truth, answers, strict=True)])
    for group, labels in task.groups.items():
        members = np.array([label in labels for label in truth])
        yield Score(task.name, group, method, shots, seed, 100 * float(right[members].mean()))
