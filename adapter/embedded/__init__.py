"""The small open_clip model that ships with the package, and the means to pre-train it again."""

from __future__ import annotations

from pathlib import Path

MODEL_NAME = "xmadapter-small"

NOTICE = (
    f"{MODEL_NAME} is a small demonstration model; for a real one use "
    "`--model ViT-B-32 --pretrained laion2b_s34b_b79k`, `--model hf-hub:...`, or a file."
)

_HERE = Path(__file__).parent


def config_path() -> Path:
    """The model's open_clip configuration."""
    return _HERE / f"{MODEL_NAME}.json"


def weights_path() -> Path:
    """The model's weights, to be given to open_clip as `pretrained`."""
    return _HERE / f"{MODEL_NAME}.safetensors"


def register() -> None:
    """Make `MODEL_NAME` known to open_clip; calling it again changes nothing."""
    import open_clip

    if MODEL_NAME not in open_clip.list_models():
        open_clip.add_model_config(config_path())
