"""Small support sets, drawn from a seed."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from adapter.support import SupportSet


def random_support(
    counts: list[int], width: int = 12, seed: int = 0, dtype: torch.dtype = torch.float64
) -> SupportSet:
    """Clustered unit keys, `counts[c]` of class c; one text a class, no captions."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    centres = noise(len(counts), width)
    targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    keys = normalize(centres[targets] + 0.7 * noise(len(targets), width), dim=1)
    classifier = normalize(centres + noise(len(counts), width), dim=1)
    return SupportSet(
        labels=tuple(f"class {c}" for c in range(len(counts))),
        classifier=classifier,
        logit_scale=20.0,
        keys=keys,
        targets=targets,
        texts=classifier,
        text_rows=targets.clone(),
    )
