"""From a model's name to its towers: which weights are meant, where they are, what they are.

All of open_clip's loading is behind this module, and its failures are `EncoderError`s.
"""

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

DEFAULT_MODEL = "xmadapter-small"
RANDOM_WEIGHTS = "random"
RANDOM_SEED = 0
HUB_PREFIX = "hf-hub:"


class EncoderError(RuntimeError):
    """The model cannot be loaded: unknown name or tag, missing file, no network, no device."""


@dataclass(frozen=True)
class Weights:
    """Weights that were found.

    `model` is open_clip's name of the architecture, `shown` the weights' own name beside it,
    `argument` what open_clip is told, `file` the file that it reads (None: random weights).
    """

    model: str
    shown: str | None
    argument: str | None
    file: Path | None
    quick_gelu: bool = False

    @property
    def name(self) -> str:
        """Model and weights, as shown to people."""
        return f"{self.model}/{self.shown}" if self.shown else self.model

    def checksum(self) -> str:
        """Hex sha256 of the file: the same whatever the precision and the device.

        Random weights are a function of the seed and of torch's version.
        """
        if self.file is None:
            return f"{RANDOM_WEIGHTS}, seed {RANDOM_SEED}, torch {torch.__version__}"
        with self.file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def find_weights(model: str, pretrained: str | None, cache_dir: Path | None) -> Weights:
    """Say which weights are meant, downloading them where a tag or a hub name means so.

    Raises:
        EncoderError: nothing fits, or the download failed.
    """
    if model.startswith(HUB_PREFIX):
        return _find_on_hub(model, pretrained, cache_dir)
    model = model.replace("/", "-")  # "ViT-B/32", as papers write it
    _check_model(model)
    if pretrained is None:
        return _find_default(model)
    if pretrained == RANDOM_WEIGHTS:
        return Weights(model, RANDOM_WEIGHTS, argument=None, file=None)
    return _find_tag(model, pretrained, cache_dir) or _find_file(model, pretrained)


def create_towers(
    weights: Weights, device: torch.device, cache_dir: Path | None
) -> tuple[Any, Any]:
    """Build open_clip's model, float32, in eval mode and frozen, and its tokenizer.

    Raises:
        EncoderError: the file is damaged or of another architecture, or the network is needed.
    """
    import open_clip

    cache = str(cache_dir) if cache_dir else None
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_SEED)
            towers = open_clip.create_model(
                weights.model,
                pretrained=weights.argument,
                precision="fp32",
                device=device,
                force_quick_gelu=weights.quick_gelu,
                pretrained_text=False,
                cache_dir=cache,
                require_pretrained=weights.file is not None,
                weights_only=True,
            )
        tokenizer = open_clip.get_tokenizer(weights.model, cache_dir=cache)
    except Exception as error:  # open_clip raises whatever torch, safetensors and the hub raise
        raise EncoderError(
            f"cannot load {weights.name}: {error}. Check that the weights belong to this model "
            "and are complete; give a local file if there is no network"
        ) from error
    return towers.eval().requires_grad_(False), tokenizer


def _check_model(model: str) -> None:
    import open_clip

    if model == DEFAULT_MODEL:
        from adapter import embedded

        embedded.register()
    known = open_clip.list_models()
    if model not in known:
        raise EncoderError(
            f"unknown model {model!r}; {_close(model, [DEFAULT_MODEL, *known])}. "
            f"A model on the Hugging Face hub is named {HUB_PREFIX}ORGANISATION/NAME"
        )


def _find_default(model: str) -> Weights:
    if model == DEFAULT_MODEL:
        from adapter import embedded

        path = Path(embedded.weights_path())
        return Weights(model, shown=None, argument=str(path), file=path)
    raise EncoderError(
        f"{model!r} needs weights: give a tag ({', '.join(_tags(model)) or 'it has none'}), "
        f"a local file, or {RANDOM_WEIGHTS!r}"
    )


def _find_on_hub(model: str, pretrained: str | None, cache_dir: Path | None) -> Weights:
    from open_clip.pretrained import download_pretrained_from_hf

    if pretrained is not None:
        raise EncoderError(f"{model!r} names its weights itself: leave out {pretrained!r}")
    identifier = model.removeprefix(HUB_PREFIX)
    try:
        file = download_pretrained_from_hf(identifier, cache_dir=_text(cache_dir))
    except Exception as error:
        raise _download_error(model, error) from error
    return Weights(model, shown=None, argument=None, file=Path(file))


def _find_tag(model: str, tag: str, cache_dir: Path | None) -> Weights | None:
    from open_clip.pretrained import download_pretrained, get_pretrained_cfg

    facts = get_pretrained_cfg(model, tag)
    if not facts:
        return None
    try:
        file = download_pretrained(facts, cache_dir=_text(cache_dir))
    except Exception as error:
        raise _download_error(f"{model}/{tag}", error) from error
    # Weights trained with QuickGELU are silently wrong without it; the tag knows.
    return Weights(model, tag, tag, Path(file), quick_gelu=bool(facts.get("quick_gelu")))


def _find_file(model: str, pretrained: str) -> Weights:
    file = Path(pretrained).expanduser()
    if file.is_file():
        return Weights(model, shown=file.name, argument=str(file), file=file)
    raise EncoderError(
        f"{pretrained!r} is neither a file nor a tag of {model!r}; "
        f"{_close(pretrained, _tags(model))}"
    )


def _tags(model: str) -> list[str]:
    import open_clip

    return [str(tag) for tag in open_clip.list_pretrained_tags_by_model(model)]


def _close(name: str, known: Sequence[str]) -> str:
    folded = {entry.lower(): entry for entry in known}
    close = difflib.get_close_matches(name.lower(), folded, n=5, cutoff=0.5)
    names = [folded[entry] for entry in close] or list(known[:5])
    return f"near to it: {', '.join(names)}" if names else "it has no tags"


def _download_error(name: str, error: Exception) -> EncoderError:
    return EncoderError(
        f"cannot fetch the weights of {name}: {error}. Check the name and the network, "
        "or give a local file"
    )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
