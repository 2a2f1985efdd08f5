"""What a CUDA device does alone: the head over its keys, and the image tower.

`python -m benchmarks.performance --gpu` needs a CUDA device, the project's own dependencies with
torch 2.11 or later built for that device (CUDA 12 or 13), a `faiss` with GPU code where neighbours
are to be searched there, and 20 GB of the device's memory. It downloads nothing: ViT-B/32 has
random weights, which cost what real ones do. Without git the commit is "unknown".

Each function takes any device, so that what runs on a GPU is tested on the CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from adapter.encoder import Encoder
from adapter.fit import Fit, Method
from adapter.gaussian import RIDGES
from adapter.head import Head, Hits
from adapter.networks import Networks
from adapter.support import SupportSet
from indexer.index import KeyIndex, make_index

CLASSES, WIDTH, SHOWN = 1_000, 512, 5
STEP = 100_000
"""Keys that are drawn at a time: the whole of a million twice would not be needed."""

NUMBERS = {
    "full": Fit(
        method="full", gaussian_weight=1.0, gaussian_ridges=[1 / len(RIDGES)] * len(RIDGES)
    ),
    "paper": Fit(method="paper"),
}


@dataclass(frozen=True)
class Bench:
    """A head with its indices, and queries for it, all on one device.

    Attributes:
        head: over N keys of `CLASSES` classes, each with a text of its own.
        image: index of the N image keys.
        texts: index of the text keys.
        networks: that make queries of the text keys.
        queries: (B, D) unit features.
    """

    head: Head
    image: KeyIndex
    texts: KeyIndex
    networks: Networks
    queries: Tensor

    @classmethod
    def of(
        cls,
        keys: int,
        queries: int,
        method: Method,
        device: torch.device,
        width: int = WIDTH,
        classes: int = CLASSES,
    ) -> Bench:
        """A bench of random shots in clusters, from a fixed seed.

        Args:
            keys: N, at least as many as classes.
            queries: B.
            method: of the head.
            device: where all of it is.
            width: D.
            classes: C.
        """
        chance = torch.Generator(device=device).manual_seed(0)
        middles = _unit(torch.randn(classes, width, generator=chance, device=device))
        targets = torch.arange(keys, device=device) % classes
        noise = width**-0.5
        drawn = torch.cat(
            [
                _unit(
                    middles[part]
                    + noise * torch.randn(len(part), width, generator=chance, device=device)
                )
                for part in (targets[at : at + STEP] for at in range(0, keys, STEP))
            ]
        )
        networks = Networks.initial(width).to(device)
        texts = _unit(middles + torch.randn(middles.shape, generator=chance, device=device) * noise)
        support = SupportSet(
            tuple(f"class {at}" for at in range(classes)),
            texts,
            100.0,
            drawn,
            targets,
            texts,
            targets,
        )
        with torch.no_grad():
            head = Head.build(support, NUMBERS[method])
            image = _index(drawn)
            text_keys = _index(networks.meta_net(texts))
        near = middles[torch.randint(classes, (queries,), generator=chance, device=device)]
        asked = near + noise * torch.randn(near.shape, generator=chance, device=device)
        return cls(head, image, text_keys, networks, _unit(asked))

    def answer(self) -> tuple[Tensor, Tensor]:
        """Probabilities (B, C), and the rows (B, 5) of the neighbours; five classes are sorted."""
        with torch.inference_mode():
            image = Hits(self.image.similarities(self.queries))
            text = Hits(self.texts.similarities(self.networks.img2txt_net(self.queries)))
            scores = self.head.score(self.queries, image, text)
            scores.best(SHOWN)
            return scores.probabilities, scores.neighbours(SHOWN).rows


def milliseconds(call: Callable[[], object], device: torch.device, repeats: int) -> list[float]:
    """Of each call, from its start until the device has done it; a few before are not counted."""
    for _ in range(3):
        call()
    found = []
    for _ in range(repeats):
        wait(device)
        began = time.perf_counter()
        call()
        wait(device)
        found.append(1000 * (time.perf_counter() - began))
    return found


def encoder_rates(
    encoder: Encoder, batch: int, batches: int, repeats: int, *, staged: bool
) -> list[float]:
    """Images a second of the image tower, in each of `repeats` runs.

    Args:
        encoder: with its tower on its device.
        batch: images that are encoded together.
        batches: of a run, one after the other without waiting.
        repeats: runs.
        staged: whether the pixels come from the host's memory, as they do in the service, or
            lie on the device.
    """
    device = encoder.device
    encoder.warm(batch)
    shape = (batch, 3, *encoder.preprocessing.size)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
    if device.type == "cuda":
        pixels = pixels.pin_memory() if staged else pixels.to(device)

    def run() -> None:
        for _ in range(batches):
            encoder.encode_images(pixels)

    images = batch * batches
    return [1000 * images / each for each in milliseconds(run, device, repeats)]


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _index(keys: Tensor) -> KeyIndex:
    index = make_index(keys.shape[1], "auto", keys.device)
    index.add(keys)
    return index


def _unit(rows: Tensor) -> Tensor:
    return functional.normalize(rows, dim=-1)
