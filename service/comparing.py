"""What `xmadapter evaluate` does, once it knows its options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from adapter.class_features import SUFFIX, ClassFeatureError, read_class_features
from adapter.datasets.errors import DatasetError
from adapter.encoder import EncoderError
from adapter.evaluation.errors import EvaluationError
from adapter.evaluation.evaluate import evaluate
from adapter.evaluation.plan import Plan
from adapter.evaluation.sanity import Verdict
from adapter.learner import Learner
from adapter.methods import METHODS
from service.indexing import encoder_of
from service.lock import CacheLocked, build_lock
from service.settings import Settings, SettingsError, read_templates

INTERRUPTED = 130
FAILURES = (
    ClassFeatureError,
    DatasetError,
    EncoderError,
    EvaluationError,
    OSError,
    SettingsError,
)
"""What can go wrong here and says what to do."""


def known_methods() -> Mapping[str, Learner]:
    """Every method that can be set beside the others, by name."""
    return METHODS


def run(plan: Plan, settings: Settings, *, progress: bool) -> list[Verdict]:
    """Evaluate, alone in the folder; see `adapter.evaluation.evaluate`, which says what it raises.

    Raises:
        EvaluationError: also where another process writes to the folder.
    """
    try:
        with build_lock(plan.out, "xmadapter evaluate"):
            return evaluate(plan, encoder_of(settings), progress=progress)
    except CacheLocked:
        raise EvaluationError(
            f"another process writes to {plan.out}: wait for it, or choose another folder"
        ) from None


def read_prompts(path: Path | None) -> tuple[tuple[str, ...] | None, dict[str, Tensor] | None]:
    """Templates, or ready class features where the file is one of these; None for what is not.

    Raises:
        SettingsError: templates that are none.
        ClassFeatureError: class features that are none.
        OSError: the file cannot be read.
    """
    if path is not None and path.suffix == SUFFIX:
        return None, read_class_features(path)
    return read_templates(path), None
