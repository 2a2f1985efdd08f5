"""The training pool: images in memory, their captions tokenised, and what is true of each."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from adapter import drawings
from adapter.drawings import Caption, Fact, Facts, Scene
from adapter.embedded import photographs
from adapter.embedded.photographs import Photographs
from adapter.embedded.statements import alternatives, statement

Tokenizer = Callable[[list[str]], Tensor]
_CHUNK = 500


@dataclass(frozen=True, eq=False)
class Pool:
    """N images, K captions of each out of U different ones, and V facts.

    `pixels` (N, 3, S, S) uint8; `drawn` (N,) tells drawings from photographs; `shown` (N, V)
    the facts of the images; `choices` (N, K) rows of `tokens` (U, L) and of `stated` (U, V);
    `single` (V, L) the tokens of each fact's shortest caption; `columns` each attribute's facts.
    """

    pixels: Tensor
    drawn: Tensor
    shown: Tensor
    choices: Tensor
    tokens: Tensor
    stated: Tensor
    single: Tensor
    columns: dict[str, list[int]]


def scene_of(seed: int, index: int) -> tuple[Scene, np.random.Generator]:
    """The scene of the `index`-th drawing of a pool, and the generator that goes on from it."""
    rng = np.random.default_rng([seed, index])
    return drawings.sample(rng), rng


def _render(task: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    seed, start, stop, size = task
    images = []
    for index in range(start, stop):
        scene, rng = scene_of(seed, index)
        images.append(np.asarray(drawings.render(scene, size, rng)).transpose(2, 0, 1))
    return np.stack(images)


def render_drawings(
    count: int, size: int, seed: int, workers: int, kept: Path | None = None
) -> NDArray[np.uint8]:
    """(count, 3, size, size) drawings; the file `kept` is read where it is, else written."""
    if kept is not None and kept.exists():
        return np.asarray(np.load(kept))
    tasks = [(seed, a, min(a + _CHUNK, count), size) for a in range(0, count, _CHUNK)]
    if workers > 1:
        with multiprocessing.get_context("spawn").Pool(workers) as processes:
            done = list(tqdm(processes.imap(_render, tasks), total=len(tasks), desc="drawings"))
    else:
        done = [_render(task) for task in tasks]
    pixels = np.concatenate(done)
    if kept is not None:
        np.save(kept, pixels)
    return pixels


def resize(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(N, H, W, 3) images as (N, 3, size, size), resized as open_clip's transform does."""
    out = np.empty((len(pixels), 3, size, size), dtype=np.uint8)
    for i, image in enumerate(pixels):
        sized = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
        out[i] = np.asarray(sized).transpose(2, 0, 1)
    return out


def vocabulary(shown: Sequence[Facts]) -> tuple[Fact, ...]:
    """Every fact that is true of some image, sorted."""
    return tuple(sorted(frozenset().union(*shown)))


def assemble(
    pixels: NDArray[np.uint8],
    drawn: NDArray[np.bool_],
    shown: Sequence[Facts],
    captioned: Sequence[Sequence[Caption]],
    tokenizer: Tokenizer,
) -> Pool:
    """A pool of images with the facts `shown` and the captions `captioned`, which may differ
    in number from image to image: the shorter lists are repeated to the longest."""
    known = vocabulary(shown)
    index: dict[Caption, int] = {}
    width = max(len(row) for row in captioned)
    choices = np.empty((len(captioned), width), dtype=np.int32)
    for i, row in enumerate(captioned):
        ids = [index.setdefault(caption, len(index)) for caption in row]
        choices[i] = np.resize(np.asarray(ids, dtype=np.int32), width)
    tokens = torch.cat([tokenizer([c.text for c in part]) for part in _parts(list(index), 4096)])
    return Pool(
        pixels=torch.from_numpy(pixels),
        drawn=torch.from_numpy(drawn),
        shown=torch.from_numpy(drawings.encode(shown, known)),
        choices=torch.from_numpy(choices),
        tokens=tokens,
        stated=torch.from_numpy(drawings.encode([c.facts for c in index], known)),
        single=tokenizer([statement(fact) for fact in known]),
        columns=alternatives(known),
    )


def _parts(captions: list[Caption], size: int) -> list[list[Caption]]:
    return [captions[i : i + size] for i in range(0, len(captions), size)]


def build(
    drawn: NDArray[np.uint8], seed: int, photos: Photographs | None, tokenizer: Tokenizer
) -> Pool:
    """The pool of the drawings (N, 3, S, S) that `seed` gave, and of the photographs."""
    scenes = [scene_of(seed, i)[0] for i in range(len(drawn))]
    shown = [drawings.facts(s) for s in scenes]
    captioned = [drawings.captions(s) for s in scenes]
    pixels, is_drawn = drawn, np.ones(len(drawn), dtype=np.bool_)
    if photos is not None:
        seen = [photographs.facts(p, n) for p, n in zip(photos.pixels, photos.labels, strict=True)]
        shown += seen
        captioned += [photographs.captions(f) for f in seen]
        pixels = np.concatenate([drawn, resize(photos.pixels, drawn.shape[-1])])
        is_drawn = np.concatenate([is_drawn, np.zeros(len(seen), dtype=np.bool_)])
    return assemble(pixels, is_drawn, shown, captioned, tokenizer)
