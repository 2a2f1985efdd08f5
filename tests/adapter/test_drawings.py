"""Drawings: the same seed gives the same picture, and what is demonstrated is never taught."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from adapter import drawings
from adapter.drawings import DEMO_CLASSES, EXTRA_CLASS, SHAPES, Scene
from adapter.drawings.glyphs import plural
from adapter.drawings.paint import COLOURS, PATTERNS, pattern
from adapter.drawings.scene import COUNTS, FILLS

_STAR = Scene("star", "red", "three", "striped", "plain", "blue")


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def test_there_are_twelve_demo_classes_and_one_more() -> None:
    assert len(set(DEMO_CLASSES)) == 12
    assert EXTRA_CLASS not in DEMO_CLASSES


@pytest.mark.parametrize("label", [*DEMO_CLASSES, EXTRA_CLASS])
def test_a_demo_image_is_fixed_by_its_label_and_seed(label: str) -> None:
    first, again, other = (
        np.asarray(drawings.demo_image(label, seed, size=64)) for seed in (3, 3, 4)
    )
    assert first.shape == (64, 64, 3)
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 5


def test_a_demo_image_shows_something_on_its_ground() -> None:
    for label in (*DEMO_CLASSES, EXTRA_CLASS):
        for seed in range(10):
            tones = np.asarray(drawings.demo_image(label, seed, size=64)).reshape(-1, 3) // 32
            assert len(np.unique(tones, axis=0)) >= 3, (label, seed)


def test_an_unknown_demo_class_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of"):
        drawings.demo_image("star", 0)


def test_a_rendering_is_fixed_by_its_generator() -> None:
    first, again, other = (
        np.asarray(drawings.render(_STAR, 64, np.random.default_rng(seed))) for seed in (7, 7, 8)
    )
    assert first.shape == (64, 64, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_glyph_leaves_ink_in_its_colour(shape: str) -> None:
    scene = Scene(shape, "red", "one", "solid", "plain", "white")
    pixels = np.asarray(drawings.render(scene, 64, np.random.default_rng(1))).astype(int)
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 110)
    assert 0.01 < red.mean() < 0.7


def test_more_things_are_more_separate_blobs() -> None:
    from scipy import ndimage

    for wanted, count in enumerate(COUNTS, start=1):
        scene = Scene("square", "black", count, "solid", "plain", "white")
        pixels = np.asarray(drawings.render(scene, 96, np.random.default_rng(5)).convert("L"))
        blobs = int(ndimage.label(pixels < 120)[1])
        # Neighbours may touch at a corner, so that a blob can stand for two.
        assert wanted - 1 <= blobs <= wanted
        assert wanted > 1 or blobs == 1


def test_no_caption_names_what_is_left_to_teach() -> None:
    left_out = {*DEMO_CLASSES, EXTRA_CLASS, "deer", "frog", "truck"}
    left_out |= {plural(word) for word in left_out}
    assert not left_out & set(SHAPES)
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        scene = replace(drawings.sample(rng), shape=shape)
        for caption in drawings.captions(scene):
            assert not left_out & _words(caption.text), caption.text


def test_held_out_pairs_are_never_sampled() -> None:
    rng = np.random.default_rng(0)
    assert not any(drawings.held_out(s.shape, s.colour) for s in map(_sampled, [rng] * 500))
    share = np.mean([drawings.held_out(s, c) for s in SHAPES for c in COLOURS])
    assert 0.1 < share < 0.15
    unseen = [drawings.sample(rng, unseen=True) for _ in range(50)]
    assert all(drawings.held_out(s.shape, s.colour) for s in unseen)


def _sampled(rng: np.random.Generator) -> Scene:
    return drawings.sample(rng)


def test_every_held_out_shape_and_colour_is_seen_apart() -> None:
    for shape in SHAPES:
        assert not all(drawings.held_out(shape, c) for c in COLOURS)
    for colour in COLOURS:
        assert not all(drawings.held_out(s, colour) for s in SHAPES)


def test_captions_are_true_of_their_scene_and_of_no_contrary_one() -> None:
    other = Scene("cloud", "green", "one", "solid", "noisy", "white")
    scenes = [_STAR, replace(_STAR, colour="pink"), other]
    shown = [drawings.facts(s) for s in scenes]
    vocabulary = sorted(frozenset().union(*shown))
    said = {c.text: c.facts for c in drawings.captions(_STAR)}
    matrix = drawings.truth(said.values(), shown, vocabulary)
    assert matrix[0].all()
    row = dict(zip(said, matrix[1], strict=True))
    assert row["a photo of a star."]
    assert row["a drawing of three stars"]
    assert not row["a red star"]
    drawn_only = [f == {("medium", "drawing")} for f in said.values()]
    assert matrix[2].tolist() == drawn_only


def test_the_grammar_agrees_with_itself() -> None:
    texts = [c.text for c in drawings.captions(_STAR)]
    assert "three striped red stars on a plain blue background" in texts
    one = [c.text for c in drawings.captions(replace(_STAR, shape="oval", count="one"))]
    assert "a drawing of one oval" in one
    assert "an oval" in one
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("kind", PATTERNS)
def test_patterns_stay_between_their_tones(kind: str) -> None:
    pixels = pattern(kind, 48, (10, 20, 30), (200, 150, 90), 12.0, np.random.default_rng(0))
    assert pixels.shape == (48, 48, 3)
    assert pixels.min(axis=(0, 1)).tolist() >= [10, 20, 30]
    assert pixels.max(axis=(0, 1)).tolist() <= [200, 150, 90]
    assert (kind == "plain") == (np.ptp(pixels) == 20)


def test_fills_that_are_patterns_can_be_painted() -> None:
    assert set(FILLS) - set(PATTERNS) == {"solid", "outlined"}
