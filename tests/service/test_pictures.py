"""Pictures on their way through the encoder, in portions."""

from __future__ import annotations

import torch

from adapter.encoder import PixelEncoder
from adapter.keys import key_of_views
from service.images import Prepared
from service.pictures import Pictures

ENCODER = PixelEncoder(width=8, image_size=4)


def prepared(views: int, seed: int) -> Prepared:
    pixels = torch.randint(0, 256, (views, 3, 4, 4), generator=torch.Generator().manual_seed(seed))
    return Prepared(pixels=pixels.to(torch.uint8))


def test_features_come_to_their_pictures_however_they_were_divided() -> None:
    embedding = Prepared(feature=torch.ones(8))
    items = [prepared(3, 1), embedding, prepared(1, 2), prepared(2, 3)]
    pictures = Pictures(items)
    assert pictures.count == 6
    for images in (2, 2, 2):
        assert items[0].feature is None, "before all have been seen"
        pictures.see(ENCODER.encode_images(torch.cat(pictures.take(images))))
    for item in items:
        if item.pixels is None:
            continue
        features = ENCODER.encode_images(item.pixels)
        assert item.feature is not None
        # Batches of another size may sum in another order.
        torch.testing.assert_close(item.feature, key_of_views(features), atol=1e-6, rtol=0)
        assert (item.views is None) == (len(features) == 1)
        if item.views is not None:
            torch.testing.assert_close(item.views, features, atol=1e-6, rtol=0)
    assert torch.equal(embedding.feature, torch.ones(8))  # type: ignore[arg-type]


def test_nothing_to_see() -> None:
    pictures = Pictures([Prepared(feature=torch.ones(8))])
    assert pictures.count == 0
    assert pictures.take(5) == []
