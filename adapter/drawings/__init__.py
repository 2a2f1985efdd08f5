"""Captioned drawings: those the shipped model learns from, and the demo's classes, kept apart."""

from adapter.drawings.captions import Caption, Fact, Facts, captions, encode, facts, truth
from adapter.drawings.demo import DEMO_CLASSES, EXTRA_CLASS, demo_image
from adapter.drawings.scene import SHAPES, Scene, held_out, render, sample

__all__ = [
    "DEMO_CLASSES",
    "EXTRA_CLASS",
    "SHAPES",
    "Caption",
    "Fact",
    "Facts",
    "Scene",
    "captions",
    "demo_image",
    "encode",
    "facts",
    "held_out",
    "render",
    "sample",
    "truth",
]
