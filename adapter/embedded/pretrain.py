"""Pre-train the small model: `python -m adapter.embedded.pretrain --cifar ZIP --out DIR`.

Interrupted, the same command goes on from the last checkpoint in DIR.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from adapter.embedded import MODEL_NAME, config_path, measure, photographs, pool, register
from adapter.embedded.augment import views
from adapter.embedded.halves import Crew, backward
from adapter.embedded.objective import agreement, contrastive, naming, truth
from adapter.embedded.photographs import KINDS, Photographs
from adapter.embedded.pool import Pool, Tokenizer

SEED = 2026
_MAX_SCALE = 100.0


@dataclass(frozen=True)
class Recipe:
    """The settings of a run; the run ends after `steps` steps or `minutes`, whichever is first."""

    minutes: float = 48.0
    steps: int = 1_000_000
    batch: int = 128
    drawings: int = 40_000
    photo_share: float = 0.5
    learning_rate: float = 2e-3
    warmup: float = 0.04
    early_size: int = 48
    early_share: float = 0.6
    weight_decay: float = 0.05
    naming_weight: float = 0.2
    noun_weight: float = 1.0
    agreement_weight: float = 0.5
    agreement_temperature: float = 0.2
    held_out: int = 2000
    seed: int = SEED
    without: tuple[str, ...] = ()


@dataclass
class Progress:
    """Where a run stands; `seconds` sums the time spent training, over interruptions."""

    step: int = 0
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)

    def share(self, recipe: Recipe) -> float:
        """The part of the run that is done, from 0 to 1."""
        return min(1.0, max(self.step / recipe.steps, self.seconds / (60 * recipe.minutes)))


@dataclass(frozen=True, eq=False)
class Run:
    """A model in training with all that a step needs."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    norm: measure.Norm
    generator: torch.Generator
    crew: Crew


def create_model(seed: int, start: Path | None = None) -> tuple[torch.nn.Module, Tokenizer]:
    """The model with the weights at `start`, else random ones, and open_clip's tokenizer."""
    import open_clip

    register()
    torch.manual_seed(seed)
    model = open_clip.create_model(MODEL_NAME, pretrained=None if start is None else str(start))
    return model.to(memory_format=torch.channels_last), open_clip.get_tokenizer(MODEL_NAME)


def prepare(model: torch.nn.Module, recipe: Recipe, threads: int = 1) -> Run:
    """The optimizer and the generator of a run that begins."""
    plain: list[Tensor] = []
    decayed: list[Tensor] = []
    for name, p in model.named_parameters():
        # Words that no caption holds get no gradient: decay alone would shrink them to nothing.
        (plain if p.ndim < 2 or "embedding" in name else decayed).append(p)
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(recipe.seed)
    return Run(model, optimizer, measure.norm_of(model), generator, Crew(threads))


def rate(recipe: Recipe, share: float) -> float:
    """The learning rate when `share` of the run is done: linear warm-up, then a half cosine."""
    if share < recipe.warmup:
        return recipe.learning_rate * (share + 1e-3) / (recipe.warmup + 1e-3)
    rest = (share - recipe.warmup) / (1 - recipe.warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * rest))


def side(recipe: Recipe, share: float, size: int) -> int:
    """The side of the views in pixels: smaller, and so cheaper, in the early part of the run."""
    return min(recipe.early_size, size) if share < recipe.early_share else size


def draw(data: Pool, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Rows (B,) of the next batch, with the recipe's share of photographs where there are any.

    They are shuffled, so that the batch norms of each part see photographs and drawings alike.
    """
    drawn, photos = data.drawn.nonzero().flatten(), (~data.drawn).nonzero().flatten()
    wanted = round(recipe.batch * recipe.photo_share) if len(photos) else 0
    parts = [(photos, wanted), (drawn, recipe.batch - wanted)]
    chosen = torch.cat(
        [rows[torch.randint(len(rows), (n,), generator=generator)] for rows, n in parts if n]
    )
    return chosen[torch.randperm(len(chosen), generator=generator)]


def step(run: Run, data: Pool, recipe: Recipe, progress: Progress) -> dict[str, float]:
    """One update from a batch: two views and one caption of each image; the losses."""
    model: Any = run.model
    size = side(recipe, progress.share(recipe), data.pixels.shape[-1])
    rows = draw(data, recipe, run.generator)
    picks = torch.randint(data.choices.shape[1], (len(rows),), generator=run.generator)
    said = data.choices[rows, picks].long()

    def features(part: tuple[Tensor, Tensor, Tensor, int]) -> tuple[Tensor, ...]:
        rows, said, single, seed = part
        twice, generator = rows.repeat(2), torch.Generator().manual_seed(seed)
        drawn = data.drawn[twice]
        image = views(data.pixels[twice], drawn, size, run.norm, generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            f = model.encode_image(image.contiguous(memory_format=torch.channels_last))
            t = model.encode_text(torch.cat([data.tokens[said], single]))
        t = F.normalize(t.float(), dim=-1)
        return (*F.normalize(f.float(), dim=-1).chunk(2), t[: len(said)], t[len(said) :])

    losses: dict[str, Tensor] = {}

    def loss(joined: tuple[Tensor, ...]) -> Tensor:
        first, second, text, single = joined
        both, shown, scale = torch.cat([first, second]), data.shown[rows], model.logit_scale.exp()
        matches = truth(shown, data.stated[said])
        captioned = contrastive(both, text, matches.repeat(2, 1), scale)
        named = naming(both, single, shown.repeat(2, 1), data.columns, scale)
        noun = named.pop("noun")
        agreed = agreement(first, second, recipe.agreement_temperature)
        losses.update(captions=captioned, nouns=noun, views=agreed)
        return (
            captioned
            + recipe.noun_weight * noun
            + recipe.naming_weight * torch.stack(list(named.values())).sum()
            + recipe.agreement_weight * agreed
        )

    for group in run.optimizer.param_groups:
        group["lr"] = rate(recipe, progress.share(recipe))
    run.optimizer.zero_grad(set_to_none=True)
    seeds = torch.randint(2**31, (run.crew.size,), generator=run.generator).tolist()
    tensors = (x.chunk(run.crew.size) for x in (rows, said, data.single))
    chunks = zip(*tensors, seeds, strict=True)
    backward(run.crew, run.crew.map(features, list(chunks)), loss)
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    run.optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(max=math.log(_MAX_SCALE))
    return {name: round(value.item(), 4) for name, value in losses.items()}


def save(path: Path, run: Run, recipe: Recipe, progress: Progress) -> None:
    """Write a checkpoint; the file is whole or is the one before."""
    state = {
        "recipe": asdict(recipe),
        "progress": asdict(progress),
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "generator": run.generator.get_state(),
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def resume(path: Path, run: Run, recipe: Recipe) -> Progress:
    """Load a checkpoint into `run`. Raises ValueError if another recipe made it."""
    if not path.exists():
        return Progress()
    state = torch.load(path, weights_only=True)
    if state["recipe"] != asdict(recipe):
        raise ValueError(f"{path} belongs to another recipe: {state['recipe']}, not {recipe}")
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.generator.set_state(state["generator"])
    return Progress(**state["progress"])


def train(run: Run, data: Pool, recipe: Recipe, checkpoint: Path, every: float = 120.0) -> Progress:
    """Train to the end of the recipe, with a checkpoint each `every` seconds and at the end."""
    progress = resume(checkpoint, run, recipe)
    saved = progress.seconds
    run.model.train()
    start = int(100 * progress.share(recipe))
    with tqdm(total=100, initial=start, unit="%", mininterval=5) as bar:
        while progress.share(recipe) < 1.0:
            began = time.monotonic()
            losses = step(run, data, recipe, progress)
            progress.step += 1
            progress.seconds += time.monotonic() - began
            if progress.step % 10 == 0 or progress.step == 1:
                progress.curve.append(
                    {"step": progress.step, "seconds": round(progress.seconds, 1), **losses}
                )
            bar.set_postfix(step=progress.step, **{k: f"{v:.3f}" for k, v in losses.items()})
            bar.update(int(100 * progress.share(recipe)) - bar.n)
            if progress.seconds - saved > every:
                save(checkpoint, run, recipe, progress)
                saved = progress.seconds
    save(checkpoint, run, recipe, progress)
    return progress


def export(model: torch.nn.Module, folder: Path) -> Path:
    """Write the weights in half precision and the configuration; the weights' path."""
    tensors = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    path = folder / f"{MODEL_NAME}.safetensors"
    save_file(tensors, path)
    target = folder / config_path().name
    if target.resolve() != config_path().resolve():
        shutil.copyfile(config_path(), target)
    return path


def scores(
    model: torch.nn.Module, tokenizer: Tokenizer, size: int, kept: Photographs | None
) -> dict[str, float]:
    """What the choices of a recipe may look at: held-out photographs and unseen drawings."""
    model.eval()
    found: dict[str, float] = {}
    if kept is not None:
        f = measure.embed(model, torch.from_numpy(pool.resize(kept.pixels, size)))
        known = tuple(name for name in KINDS if name in set(kept.labels))
        found["photographs, zero-shot"] = measure.zero_shot(model, tokenizer, f, kept.labels, known)
        found["photographs, 16 shots"] = measure.nearest_mean(f, kept.labels, 16)
    pixels, scenes = measure.unseen_drawings(1000, size, SEED + 1)
    f = measure.embed(model, pixels)
    for name, value in measure.attributes(model, tokenizer, f, scenes).items():
        found[f"unseen drawings, {name}"] = value
    pixels, labels = measure.demo_set(40, size, first_seed=100_000)
    f = measure.embed(model, pixels)
    for shots in (1, 4, 16):
        found[f"demo classes, {shots} shots"] = measure.nearest_mean(f, labels, shots)
    return found


def pretrain(
    recipe: Recipe, out: Path, cifar: Path | None, workers: int, start: Path | None = None
) -> dict[str, Any]:
    """Prepare the data, train, and write weights, configuration and metrics into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    model, tokenizer = create_model(recipe.seed, start)
    size: int = model.visual.image_size[0]  # type: ignore[union-attr,index,assignment]
    kept_drawings = out / f"drawings-{recipe.seed}-{recipe.drawings}-{size}.npy"
    drawn = pool.render_drawings(recipe.drawings, size, recipe.seed, workers, kept_drawings)
    taught: Photographs | None = None
    kept: Photographs | None = None
    if cifar is not None:
        classes = [name for name in KINDS if name not in recipe.without]
        taught, kept = photographs.split(
            photographs.read(cifar, classes), recipe.held_out, recipe.seed
        )
    data = pool.build(drawn, recipe.seed, taught, tokenizer)
    run = prepare(model, recipe, workers)
    progress = train(run, data, recipe, out / "checkpoint.pt")
    run.crew.close()
    weights = export(model, out)
    metrics = {
        "recipe": asdict(recipe),
        "images": {"drawings": len(drawn), "photographs": len(taught.labels) if taught else 0},
        "captions": len(data.tokens),
        "steps": progress.step,
        "seconds": round(progress.seconds, 1),
        "megabytes": round(weights.stat().st_size / 1e6, 2),
        "scores": scores(model, tokenizer, size, kept),
        "curve": progress.curve,
    }
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    return metrics


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m adapter.embedded.pretrain", description=__doc__
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is written")
    parser.add_argument("--cifar", type=Path, help="zip of CIFAR-10's training photographs")
    parser.add_argument("--start", type=Path, help="weights of an earlier run to go on from")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--without", nargs="*", default=[], help="further classes to leave out")
    for name, value in asdict(Recipe()).items():
        if name != "without":
            flag = "--" + name.replace("_", "-")
            parser.add_argument(flag, type=type(value), default=value)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    given = vars(parse(arguments))
    places = {name: given.pop(name) for name in ("out", "cifar", "workers", "start")}
    recipe = Recipe(**{**given, "without": tuple(given["without"])})
    metrics = pretrain(recipe, **places)
    tqdm.write(json.dumps(metrics["scores"], indent=1))


if __name__ == "__main__":
    main()
