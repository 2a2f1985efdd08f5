from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from adapter.learned import Learned, TextKey
from adapter.networks import Networks
from indexer.index import NumpyIndex
from indexer.keys import ShotTextKeys, TextKeys, make_text_keys
from indexer.records import Floats
from tests.indexer.helpers import directions

WIDTH = 8
NETWORKS = Networks.initial(WIDTH, 4)


def make(text_key: TextKey) -> TextKeys:
    networks = replace(NETWORKS, learned=Learned(text_key=text_key))
    return make_text_keys(NumpyIndex(4), networks, torch.device("cpu"))


def feature(reference: int) -> Floats:
    array: Floats = directions(1, abs(reference), WIDTH)[0].numpy()
    return array


def text(*references: int) -> Tensor:
    return torch.tensor(np.stack([feature(reference) for reference in references]))


def filled(text_key: TextKey) -> tuple[TextKeys, Tensor]:
    """Three shots with text 5 and one, the second, with text -1; and their image keys."""
    keys = directions(4, 77, WIDTH)
    found = make(text_key)
    found.load(np.array([5, -1, 5, 5]), {5: feature(5), -1: feature(-1)}, keys)
    return found, keys


def assert_holds(found: TextKeys, keys: Tensor, features: Tensor) -> None:
    """The features (N, D) of the shots' texts, and keys of these, in step."""
    stored = found.features()(keys)
    torch.testing.assert_close(stored[found.rows.tensor], features)
    torch.testing.assert_close(found.index.keys(), NETWORKS.meta_net(stored))


def test_shots_with_one_text_share_one_key() -> None:
    found, keys = filled("caption")
    assert len(found.index) == 2
    assert_holds(found, keys, text(5, -1, 5, 5))
    found.add(5, None, directions(1, 78, WIDTH))
    found.add(9, feature(9), directions(1, 79, WIDTH))
    assert len(found.index) == 3
    assert found.remove(0) is None
    # The last shot has the place of the first, and the last text that of the one that goes.
    assert_holds(found, keys, text(9, -1, 5, 5, 5))
    assert found.remove(1) == 0
    assert len(found.index) == 2
    assert_holds(found, keys, text(9, 5, 5, 5))
    found.replace(5, feature(6), lambda: keys)
    found.replace(-1, feature(7), lambda: keys)
    assert_holds(found, keys, text(9, 6, 6, 6))


def test_a_key_of_text_and_picture_belongs_to_its_shot() -> None:
    found, keys = filled("conditioned")
    assert isinstance(found, ShotTextKeys)
    assert len(found.index) == 4
    assert_holds(found, keys, normalize(text(5, -1, 5, 5) + keys, dim=1))
    keys = torch.cat([keys, directions(1, 78, WIDTH)])
    found.add(5, None, keys[4:])
    assert_holds(found, keys, normalize(text(5, -1, 5, 5, 5) + keys, dim=1))
    assert found.remove(0) == 0
    keys = keys[[4, 1, 2, 3]]
    found.replace(5, feature(6), lambda: keys)
    assert_holds(found, keys, normalize(text(6, -1, 6, 6) + keys, dim=1))


def test_none_is_made_without_shots() -> None:
    none = torch.zeros(0, WIDTH)
    for text_key in ("class", "caption", "conditioned"):
        found = make(text_key)
        found.load(np.zeros(0, np.int64), {}, none)
        assert_holds(found, none, none)
        assert found.index.keys().shape == (0, 4)
