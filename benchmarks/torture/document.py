"""The table of docs/reliability.md, made of the rows that were kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.torture.cases import CASES
from benchmarks.torture.row import RESULTS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
HEAD = "| what | figure | goal | reached | seconds |\n|---|---|---|---|---|"


def refresh(document: Path = DOCUMENT, results: Path = RESULTS) -> None:
    """Put the rows of all cases between the markers of the document."""
    text = document.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    table = "\n".join([HEAD, *_lines(results)])
    document.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def _lines(results: Path) -> Iterator[str]:
    for case in CASES:
        path = results / f"torture-{case}.json"
        if not path.is_file():
            yield f"| `{case}` | not run | | | |"
            continue
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
            reached = "yes" if row["reached"] else "**no**"
            cells = (row["name"], row["figure"], row["goal"], reached, f"{row['seconds']:.0f}")
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    refresh()
