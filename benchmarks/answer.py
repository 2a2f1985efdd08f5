"""Draw a real answer: the query, the logit of each class split into its terms, the neighbours.

python -m benchmarks.answer IMAGE --url http://127.0.0.1:8000 --out docs/images/answer.png
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

from service.client import Classification, Client

TERMS = {
    "zero_shot": "#4c72b0",
    "class_offset": "#999999",
    "gaussian": "#dd8452",
    "image_cache": "#55a868",
    "text_cache": "#c44e52",
}


def draw(image: Path, answer: Classification, thumbnails: list[bytes]) -> Figure:
    """One picture: left the query, in the middle the terms, below the shots that spoke for it."""
    figure = pyplot.figure(figsize=(10, 5.2))
    grid = figure.add_gridspec(2, 6, height_ratios=(1.5, 1))
    query = figure.add_subplot(grid[0, :2])
    query.imshow(Image.open(image).convert("RGB"))
    query.set_title(f"{answer.label}  ({answer.confidence:.0%})", fontweight="bold")
    query.axis("off")

    bars = figure.add_subplot(grid[0, 2:])
    shown = list(reversed(answer.predictions))
    for place, prediction in enumerate(shown):
        positive = negative = 0.0
        for name, value in prediction.terms.items():
            start = positive if value >= 0 else negative
            bars.barh(
                place,
                value,
                left=start,
                color=TERMS[name],
                height=0.7,
                label=name if place == 0 else None,
            )
            positive, negative = positive + max(value, 0), negative + min(value, 0)
        bars.plot(prediction.logit, place, "k|", markersize=14)
    bars.set_yticks(range(len(shown)), [f"{p.label}  {p.probability:.0%}" for p in shown])
    bars.axvline(0, color="black", linewidth=0.6)
    bars.set_title(
        "what each source of evidence adds to a class's logit (black: their sum)", fontsize=9
    )
    bars.legend(fontsize=7, loc="best")

    for column, (neighbor, thumbnail) in enumerate(
        zip(answer.neighbors[:6], thumbnails, strict=False)
    ):
        axis = figure.add_subplot(grid[1, column])
        axis.imshow(Image.open(io.BytesIO(thumbnail)))
        axis.set_title(f"{neighbor.label}\n+{neighbor.contribution:.2f}", fontsize=8)
        axis.axis("off")
    figure.tight_layout()
    return figure


def main() -> None:
    """Ask a running service, and draw what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("image", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--out", type=Path, default=Path("docs/images/answer.png"))
    arguments = parser.parse_args()
    with Client(arguments.url) as client:
        answer = client.classify(arguments.image, top_k=5, explain=6)
        thumbnails = [client.thumbnail(neighbor.shot_id) for neighbor in answer.neighbors]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    draw(arguments.image, answer, thumbnails).savefig(arguments.out, dpi=110)


if __name__ == "__main__":
    main()
