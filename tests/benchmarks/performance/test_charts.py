"""The charts are drawn, whatever was measured."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from benchmarks.performance.charts import draw_budgets, draw_curves
from tests.benchmarks.performance.made_up import BUDGETS, CURVES


def test_both_charts_are_pictures_with_something_on_them(tmp_path: Path) -> None:
    curves, budgets = tmp_path / "docs" / "curves.png", tmp_path / "docs" / "budgets.png"
    draw_curves(CURVES, curves)
    draw_budgets(BUDGETS, budgets)
    for path in (curves, budgets):
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 10
