"""CIFAR-10's photographs as captioned images: the class, its kind, and what the pixels say."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adapter.drawings import Caption, Fact, Facts
from adapter.drawings.captions import article

KINDS = {
    "airplane": "vehicle",
    "automobile": "vehicle",
    "bird": "animal",
    "cat": "animal",
    "dog": "animal",
    "horse": "animal",
    "ship": "vehicle",
}
UNSEEN = ("deer", "frog", "truck")
TEMPLATES = (
    "a photo of a {}.",
    "a photo of the {}.",
    "a blurry photo of a {}.",
    "a small photo of a {}.",
    "a picture of a {}",
    "{}",
)
HUES = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
LIGHTS = ("dark", "dim", "bright")


@dataclass(frozen=True, eq=False)
class Photographs:
    """Decoded photographs: `pixels` (N, 32, 32, 3) and their `labels`."""

    pixels: NDArray[np.uint8]
    labels: tuple[str, ...]

    def only(self, rows: NDArray[np.intp]) -> Photographs:
        """The photographs at `rows`."""
        return Photographs(self.pixels[rows], tuple(self.labels[i] for i in rows))


def read(archive: Path, classes: Iterable[str]) -> Photographs:
    """The photographs of `classes` in a zip of `split/class/NNNN.jpg`; others stay unread."""
    wanted, pixels, labels = set(classes), [], []
    with zipfile.ZipFile(archive) as z:
        for name in sorted(z.namelist()):
            label = Path(name).parent.name
            if label in wanted and name.endswith(".jpg"):
                with Image.open(io.BytesIO(z.read(name))) as image:
                    pixels.append(np.asarray(image.convert("RGB")))
                labels.append(label)
    return Photographs(np.stack(pixels), tuple(labels))


def split(photographs: Photographs, held_out: int, seed: int) -> tuple[Photographs, Photographs]:
    """(training, held out) photographs, divided by lot."""
    order = np.random.default_rng(seed).permutation(len(photographs.labels))
    return photographs.only(order[held_out:]), photographs.only(order[:held_out])


def facts(pixels: NDArray[np.uint8], label: str) -> Facts:
    """What is true of a photograph (H, W, 3): its class, and what its pixels show."""
    unit = pixels.astype(np.float32) / 255
    grey = unit.mean(2)
    h, w = grey.shape
    inner = unit[h // 4 : -h // 4, w // 4 : -w // 4].reshape(-1, 3).mean(0)
    edge = np.ones((h, w), dtype=bool)
    edge[h // 8 : -h // 8, w // 8 : -w // 8] = False
    detail = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    upper, lower = grey[: h // 2].mean(), grey[h // 2 :].mean()
    return frozenset(
        {
            ("medium", "photo"),
            ("noun", label),
            ("kind", KINDS.get(label, "thing")),
            ("centre", tint(inner)),
            ("border", tint(unit[edge].mean(0))),
            ("light", LIGHTS[int(np.digitize(grey.mean(), (0.38, 0.55)))]),
            ("contrast", "strong" if grey.std() > 0.22 else "soft"),
            ("detail", "busy" if detail > 0.12 else "smooth"),
            ("lighter", "top" if upper > lower else "bottom"),
        }
    )


def tint(colour: NDArray[np.float32]) -> str:
    """The name of a mean colour (3,) in [0, 1]; photographs are dull, so little chroma counts."""
    high, low = float(colour.max()), float(colour.min())
    chroma = high - low
    if chroma < 0.06 or chroma / max(high, 1e-6) < 0.13:
        return "black" if high < 0.28 else "white" if high > 0.75 else "gray"
    r, g, b = (float(v) for v in colour)
    if high == r:
        hue = ((g - b) / chroma) % 6
    elif high == g:
        hue = (b - r) / chroma + 2
    else:
        hue = (r - g) / chroma + 4
    name = HUES[int(np.digitize(60 * hue, (15, 42, 68, 160, 195, 260, 300, 340))) % 8]
    return "brown" if name in ("orange", "red") and high < 0.65 else name


def captions(shown: Facts) -> tuple[Caption, ...]:
    """Captions of a photograph with the facts `shown`; every one is true of it."""
    value = dict(shown)
    noun, kind, photo = value["noun"], value["kind"], ("medium", "photo")
    of_noun, of_kind = ("noun", noun), ("kind", kind)
    centre, border = ("centre", value["centre"]), ("border", value["border"])
    light, contrast = ("light", value["light"]), ("contrast", value["contrast"])
    detail, lighter = ("detail", value["detail"]), ("lighter", value["lighter"])

    def said(text: str, *stated: Fact) -> Caption:
        return Caption(text, frozenset(stated))

    named = [
        said(template.replace("a {}", article(noun)).replace("{}", noun), of_noun)
        for template in TEMPLATES
    ]
    behind = f"{article(value['border'])} background"
    return (
        *named,
        said(f"a photo of {article(kind)}.", of_kind),
        said(f"{article(kind)} on {behind}", of_kind, border),
        said(f"a photo of {article(noun)} on {behind}", of_noun, border, photo),
        said(f"a {value['light']} photo of {article(noun)}", of_noun, light, photo),
        said(f"{article(value['centre'])} {noun}", of_noun, centre),
        said(f"a photo with {article(value['centre'])} centre and {behind}", centre, border, photo),
        said(f"a {value['light']} photo with {value['contrast']} contrast", light, contrast, photo),
        said(
            f"a {value['detail']} photo that is lighter at the {value['lighter']}",
            detail,
            lighter,
            photo,
        ),
        said(
            f"a {value['detail']} {value['light']} photo of {article(noun)} on {behind}",
            detail,
            light,
            of_noun,
            border,
            photo,
        ),
    )
