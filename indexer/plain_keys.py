"""Keys as they were before any training, found in what the store holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from indexer.records import ShotRows


def keys_of(shots: ShotRows, ids: Sequence[str]) -> tuple[Tensor, Tensor]:
    """(n, D): the keys of these shots, zeros for those that are not there; and (n,) which are."""
    place = {shot_id: row for row, shot_id in enumerate(shots.ids)}
    rows = np.array([place.get(shot_id, -1) for shot_id in ids], dtype=np.int64)
    there = rows >= 0
    keys = np.zeros((len(ids), shots.keys.shape[1]), np.float32)
    keys[there] = shots.keys[rows[there]]
    return torch.from_numpy(keys), torch.from_numpy(there)
