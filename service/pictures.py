"""The pictures of a job, on their way through the encoder, in as many portions as it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from adapter.keys import key_of_views
from service.images import Prepared


class Pictures:
    """All views of all pictures, in their order.

    Args:
        prepared: those with pixels are encoded; they get their features once all views have.

    Attributes:
        count: of views.
    """

    def __init__(self, prepared: Sequence[Prepared]) -> None:
        views = [(item, item.pixels) for item in prepared if item.pixels is not None]
        self.count = sum(len(pixels) for _, pixels in views)
        self._items = [(item, len(pixels)) for item, pixels in views]
        self._rows = _rows([pixels for _, pixels in views])
        self._features: list[Tensor] = []
        self._missing = self.count

    def take(self, images: int) -> list[Tensor]:
        """The next views, (1, 3, H, W) each."""
        return list(islice(self._rows, images))

    def see(self, features: Tensor) -> None:
        """Take the features (b, D) of the next views; after the last, hand them to the pictures."""
        self._features.append(features)
        self._missing -= len(features)
        if self._missing:
            return
        rows = iter(torch.cat(self._features))
        for item, views in self._items:
            if views == 1:  # as nearly all have: a unit row is its own mean
                item.feature = next(rows)
                continue
            item.views = torch.stack(list(islice(rows, views)))
            item.feature = key_of_views(item.views)


def _rows(pixels: Sequence[Tensor]) -> Iterator[Tensor]:
    for views in pixels:
        yield from views[:, None]
