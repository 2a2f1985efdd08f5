"""Pixels for the tower, beside open_clip's own transform."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torchvision.transforms import Compose, PILToTensor, RandomResizedCrop

from adapter.encoder import Preprocessing
from adapter.images import open_image
from adapter.picture import Picture
from adapter.resizing import fit_within, to_pixels, view_pixels
from tests.adapter.drawn import encoded, noise, photograph

MEAN = (0.5, 0.5, 0.5)
CLIP_224 = Preprocessing((224, 224), MEAN, MEAN)


def open_clip_pixels(image: Image.Image, preprocessing: Preprocessing) -> torch.Tensor:
    """open_clip's own transform up to, and without, normalisation."""
    height, width = preprocessing.size
    config = PreprocessCfg(
        size=height if height == width else (height, width),
        interpolation=preprocessing.interpolation,
        resize_mode=preprocessing.resize_mode,
        fill_color=preprocessing.fill_color,
    )
    steps = image_transform_v2(config, is_train=False).transforms[:-2]
    pixels: torch.Tensor = Compose([*steps, PILToTensor()])(image)
    return pixels


def furthest(ours: torch.Tensor, theirs: torch.Tensor) -> int:
    """The largest difference of any two pixels, in steps of 255."""
    assert ours.dtype == theirs.dtype == torch.uint8
    assert ours.shape == theirs.shape
    return int((ours.int() - theirs.int()).abs().max())


@pytest.mark.parametrize("edge", [224, 64])
def test_pixels_of_photographs_are_open_clips_own_to_a_step(data_dir: Path, edge: int) -> None:
    paths = sorted((data_dir / "photos").glob("*.jpg"))
    assert len(paths) == 32
    preprocessing = Preprocessing((edge, edge), MEAN, MEAN)
    for path in paths:
        expected = open_clip_pixels(Image.open(path), preprocessing)
        pixels = to_pixels(open_image(path.read_bytes()), preprocessing)
        assert furthest(pixels, expected) <= 1, path.name
        assert pixels.is_contiguous()


@settings(max_examples=120, deadline=None)
@given(
    edges=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    size=st.tuples(st.integers(8, 48), st.integers(8, 48))
    | st.integers(8, 48).map(lambda n: (n, n)),
    mode=st.sampled_from(["shortest", "longest", "squash"]),
    interpolation=st.sampled_from(["bicubic", "bilinear", "random"]),
)
def test_pixels_are_open_clips_own_for_all_settings(
    edges: tuple[int, int],
    size: tuple[int, int],
    mode: str,
    interpolation: str,
) -> None:
    preprocessing = Preprocessing(size, MEAN, MEAN, interpolation, mode, fill_color=9)
    image = photograph(*edges)
    pixels = to_pixels(Picture.of_pillow(image), preprocessing)
    assert pixels.shape == (3, *size)
    if max(edges) <= 12 * min(edges):
        assert furthest(pixels, open_clip_pixels(image, preprocessing)) <= 1


@pytest.mark.parametrize("edges", [(1200, 90), (90, 1200), (701, 702), (333, 500)])
def test_what_the_crop_leaves_out_changes_no_pixel(edges: tuple[int, int]) -> None:
    preprocessing = Preprocessing((32, 32), MEAN, MEAN)
    image = noise(*edges)
    theirs = open_clip_pixels(image, preprocessing)
    assert furthest(to_pixels(Picture.of_pillow(image), preprocessing), theirs) <= 1


@pytest.mark.parametrize("edges", [(1, 400), (400, 1), (3, 900)])
def test_a_strips_pixels_stay_close_to_open_clips(edges: tuple[int, int]) -> None:
    preprocessing = Preprocessing((16, 16), MEAN, MEAN)
    image = photograph(*edges)
    theirs = open_clip_pixels(image, preprocessing)
    assert furthest(to_pixels(Picture.of_pillow(image), preprocessing), theirs) <= 1


def test_a_strip_of_a_million_pixels_costs_no_gigabytes() -> None:
    # open_clip's transform would make an image of 224 x 224,000,000 on the way.
    upright = Picture.of_pillow(Image.new("RGB", (1, 1_000_000), "red"))
    assert to_pixels(upright, CLIP_224)[0].min() == 255
    longest = Preprocessing((32, 32), MEAN, MEAN, resize_mode="longest")
    lying = Picture.of_pillow(Image.new("RGB", (1_000_000, 1), "red"))
    assert to_pixels(lying, longest)[0].max() == 255


@pytest.mark.parametrize(("edges", "scale"), [((101, 85), 2), ((199, 163), 4), ((640, 481), 8)])
def test_a_picture_decoded_smaller_keeps_its_geometry(edges: tuple[int, int], scale: int) -> None:
    # Colours that rise evenly: half a pixel too far, and they would be off by several steps.
    data = encoded(photograph(*edges), "JPEG", quality=100, subsampling=0)
    preprocessing = Preprocessing((20, 20), MEAN, MEAN)
    small = open_image(data, short_edge=40)
    assert small.scale == scale
    whole = to_pixels(open_image(data), preprocessing)
    assert furthest(to_pixels(small, preprocessing), whole) <= 2


def test_views_are_the_same_for_the_same_seed() -> None:
    preprocessing = Preprocessing((24, 20), MEAN, MEAN)
    picture = Picture.of_pillow(photograph())
    first = view_pixels(picture, preprocessing, 10, seed=3)
    assert first.shape == (10, 3, 24, 20)
    assert first.dtype == torch.uint8
    assert torch.equal(first, view_pixels(picture, preprocessing, 10, seed=3))
    assert not torch.equal(first, view_pixels(picture, preprocessing, 10, seed=4))
    assert len({view.numpy().tobytes() for view in first}) == 10


def test_views_show_half_to_all_of_the_image_and_half_are_flipped() -> None:
    # Red rises downwards and green to the right: their ranges give the crop's edges.
    torch.manual_seed(0)
    picture = Picture.of_pillow(photograph(200, 200))
    views = view_pixels(picture, Preprocessing((64, 64), MEAN, MEAN), 400, seed=0)
    ranges = views.flatten(2).float()
    spans = (ranges.amax(2) - ranges.amin(2))[:, :2] / 255
    areas = spans.prod(1)
    assert areas.min() > 0.47
    assert areas.max() > 0.95
    crops = [
        RandomResizedCrop.get_params(photograph(200, 200), [0.5, 1], [3 / 4, 4 / 3])
        for _ in range(400)
    ]
    theirs = sum(height * width for _, _, height, width in crops) / 400 / 200**2
    assert areas.mean() == pytest.approx(theirs, abs=0.03)
    flipped = views[:, 1, 32, 0] > views[:, 1, 32, -1]
    assert 0.42 < flipped.float().mean() < 0.58


@pytest.mark.parametrize("edges", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
def test_views_of_tiny_images_and_strips(edges: tuple[int, int]) -> None:
    views = view_pixels(Picture.of_pillow(photograph(*edges)), CLIP_224, 3, seed=0)
    assert views.shape == (3, 3, 224, 224)


def test_what_fits_is_left_alone_and_the_rest_is_made_to_fit() -> None:
    image = photograph(60, 40)
    np.testing.assert_array_equal(fit_within(Picture.of_pillow(image), 60), np.asarray(image))
    small = fit_within(Picture.of_pillow(image), 30)
    theirs = np.asarray(image.resize((30, 20), Image.Resampling.BICUBIC))
    assert np.abs(small.astype(int) - theirs).max() <= 1


def test_no_team_of_threads_is_woken() -> None:
    # Each decoding thread would have a team of its own, as large as the machine.
    code = """if True:
        import io, os
        from PIL import Image
        from adapter.encoder import Preprocessing
        from adapter.images import open_image, thumbnail, to_pixels, view_pixels
        stream = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.effect_noise((640, 480), 90).convert("RGB").save(stream, "JPEG", exif=exif)
        before = len(os.listdir("/proc/self/task"))
        picture = open_image(stream.getvalue())
        preprocessing = Preprocessing((224, 224), (0.5,) * 3, (0.5,) * 3)
        to_pixels(picture, preprocessing), view_pixels(picture, preprocessing, 2, 0)
        thumbnail(picture)
        print(len(os.listdir("/proc/self/task")) - before)
    """
    environment = {"OMP_NUM_THREADS": "4", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["0"]
