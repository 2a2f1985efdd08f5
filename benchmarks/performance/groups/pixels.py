"""Bytes to pixels, on one thread, beside open_clip's own transform."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.performance.group import Group, Setting
from benchmarks.performance.pixels import Measured, measure
from benchmarks.performance.results import Found
from benchmarks.performance.row import Row


@dataclass(frozen=True)
class Rows:
    """The rows of one model's size; attributes as in `benchmarks.performance.pixels`."""

    speed: Row
    decode: Row
    largest: Row
    cosine: Row
    scaled_speed: Row
    scaled_largest: Row
    scaled_mean: Row
    scaled_cosine: Row

    @classmethod
    def named(cls, size: str) -> Rows:
        """Those of a size."""
        scaled = f"pixels, scaled decoding, {size}"
        return cls(
            Row(f"pixels: a photograph, {size}", "ms", "lower", "ratio >= 3"),
            Row(f"pixels: of this, decoding, {size}", "ms", "lower"),
            Row(f"pixels: largest difference, {size}", "LSB", "lower", "ours <= 1"),
            Row(
                f"pixels: lowest cosine of a feature, {size}", "cosine", "higher", "ours >= 0.9999"
            ),
            Row(f"{scaled}: a large photograph", "ms", "lower"),
            Row(f"{scaled}: largest difference", "LSB", "lower"),
            Row(f"{scaled}: mean difference", "LSB", "lower"),
            Row(f"{scaled}: lowest cosine of a feature", "cosine", "higher"),
        )

    @property
    def all(self) -> tuple[Row, ...]:
        """In the order of the table."""
        plain = (self.speed, self.decode, self.largest, self.cosine)
        return (
            *plain,
            self.scaled_speed,
            self.scaled_largest,
            self.scaled_mean,
            self.scaled_cosine,
        )

    def of(self, found: Measured) -> Iterator[Row]:
        """Filled with what was measured."""
        yield self.speed.measured(found.ours_ms, found.open_clip_ms, "theirs: open_clip")
        yield self.decode.measured(found.decode_ms)
        yield self.largest.measured([found.difference.largest])
        yield self.cosine.measured([found.difference.lowest_cosine])
        scaled = found.scaled
        if scaled is None:
            for row in self.all[4:]:
                yield row.not_run("no photograph is large enough")
            return
        said = f"{scaled.photographs} photographs are large enough; off by default"
        yield self.scaled_speed.measured(scaled.ours_ms, scaled.open_clip_ms, said)
        yield self.scaled_largest.measured([scaled.difference.largest])
        yield self.scaled_mean.measured([scaled.difference.mean])
        yield self.scaled_cosine.measured([scaled.difference.lowest_cosine])


SIZES = (Rows.named("64 pixels (the shipped model)"), Rows.named("224 pixels (ViT-B/32)"))
REPEATS = 15


def rows(setting: Setting) -> Iterator[Found]:
    """Both sizes."""
    photographs = setting.photographs[:3] if setting.quick else setting.photographs
    found = measure(photographs, 1 if setting.quick else REPEATS)
    for size, each in zip(SIZES, found, strict=True):
        yield from size.of(each)


GROUP = Group("pixels", 25, tuple(row for size in SIZES for row in size.all), rows)
