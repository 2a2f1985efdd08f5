"""What a cache is taught: pictures of known features, words, adapters."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from adapter.encoder import PixelEncoder
from adapter.fit import Method
from adapter.learned import Learned
from adapter.networks import Networks
from adapter.options import TrainingOptions
from adapter.support import SupportSet
from adapter.training import train
from benchmarks.torture.model.plain import Doubles
from indexer.adapters import Record
from indexer.cache import NewShot

WIDTH = 16
ENCODER = PixelEncoder(WIDTH)
TEMPLATE = "a photo of a {}."
PICTURES = 60
BROKEN = PICTURES
"""Number of a picture whose feature is not finite."""

LABELS = ("ant", "bee", "cow", "a/b", "狐 🦊")
NO_LABELS = ("", " ", "a\nb", "x" * 257)
CAPTIONS = (None, None, None, "red", "a brown cow", "  ")
NO_CAPTION = "half a pair: \ud83e"
PROMPTS = (None, ("a {}",), ("a {}", "many {}s"), ("no name at all",))
NO_PROMPTS: tuple[tuple[str, ...], ...] = ((), (" ",), ("x" * 1001,))


@cache
def embedding(picture: int) -> Tensor:
    """(D,), of any norm: near others of five directions; every tenth the opposite of the last."""
    if picture == BROKEN:
        return torch.full((WIDTH,), torch.nan)
    if picture % 10 == 9:
        return -embedding(picture - 1)
    generator = torch.Generator().manual_seed(picture)
    centres = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(WIDTH, generator=generator)
    return (1 + picture % 3) * (centres[picture % 5] + 0.8 * noise)


@cache
def feature(picture: int) -> Doubles:
    """(D,): the unit feature, rounded to float32 as it is stored."""
    found: Doubles = functional.normalize(embedding(picture), dim=0).double().numpy()
    return found


@cache
def checksum(picture: int) -> str:
    """Of its bytes."""
    return hashlib.sha256(f"picture {picture}".encode()).hexdigest()


def shot(picture: int, caption: str | None) -> NewShot:
    """A shot of this picture."""
    return NewShot(embedding(picture), checksum(picture), caption, thumbnail(picture))


def thumbnail(picture: int) -> bytes | None:
    """Of every other picture."""
    return b"WebP of %d" % picture if picture % 2 else None


def queries(seed: int) -> Tensor:
    """(2, D): unit features, the first of a picture that may be a shot."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.stack([embedding(seed % PICTURES), torch.randn(WIDTH, generator=generator)])
    return functional.normalize(rows, dim=1)


@cache
def trained() -> tuple[Networks, ...]:
    """Networks of all kinds that training makes: for both forms, and with every text key."""
    made = [Networks.initial(WIDTH, 5, seed=1)]
    options = TrainingOptions(epochs=1, least_steps=2, networks=True)
    kinds: Sequence[tuple[Method, TrainingOptions]] = (
        ("full", options),
        ("paper", replace(options, residual="low-rank", rank=2, text_key="conditioned")),
        ("paper", replace(options, image_ratio="gate", text_key="class")),
    )
    for method, chosen in kinds:
        serving = Networks.initial(WIDTH, 5, seed=2)
        made.append(train(_support(), chosen, method=method, serving=serving).networks)
    return tuple(made)


def with_residuals(networks: Networks, shots: Sequence[str], seed: int) -> Networks:
    """These networks, with residuals of some shots, a class's residual, and a class's feature."""
    rng = np.random.default_rng(seed)

    def noise() -> Tensor:
        return torch.from_numpy(0.2 * rng.standard_normal(WIDTH)).float()

    learned: Learned = replace(
        networks.learned,
        shot_residuals={name: noise() for name in shots[:3]},
        class_residuals={LABELS[seed % 5]: noise(), "a class of another cache": noise()},
        class_features={LABELS[seed % 3]: functional.normalize(noise(), dim=0)},
    )
    return replace(networks, learned=learned)


def record(method: Method) -> Record:
    """What is written beside an adapter that is to serve."""
    return Record(
        encoder=ENCODER.fingerprint,
        model=ENCODER.name,
        method=method,
        cache_version=0,
        shots=0,
        classes=0,
        seed=0,
        settings={},
        metrics={},
        parameters=0,
        seconds=0.0,
        accuracy=1.0,
        serving=None,
        serving_accuracy=0.0,
        published=True,
        reason="better",
    )


def _support() -> SupportSet:
    """Two views of each of 15 pictures, in as many classes as there are directions."""
    # Not all of them in their own class: numbers that are certain are the dullest.
    pictures = [number for number in range(18) if number % 10 != 9][:15]
    centres = torch.stack([embedding(number) for number in pictures])
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(len(centres), 2, WIDTH, generator=generator)
    views = functional.normalize(centres[:, None] + 0.3 * noise, dim=2)
    targets = torch.arange(len(centres)) % len(LABELS)
    names = ENCODER.encode_texts([TEMPLATE.replace("{}", label) for label in LABELS])
    return SupportSet(
        labels=LABELS,
        classifier=names,
        logit_scale=ENCODER.logit_scale,
        keys=functional.normalize(views.mean(1), dim=1),
        targets=targets,
        texts=names,
        text_rows=targets,
        views=views,
    )
