"""Real input, measured: what teaching does to accuracy, and what it costs.

    python -m benchmarks.quality --data DIR

prints the tables of docs/measured.md again and writes them, with their figures as JSON and the
curves as PNG. All teaching and asking goes over HTTP, to a service in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch
from tqdm import tqdm

from adapter.encoder import load_encoder
from benchmarks import report
from benchmarks.costs import Cost, build_cost, call_costs
from benchmarks.photographs import KNOWN, TAUGHT, cifar10, clothing, drawings
from benchmarks.teaching import SEEDS, Score, Task, scores

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "quality.json"


def tasks(data: Path) -> list[Task]:
    """What is taught; without the photographs, the drawings alone."""
    drawn = drawings()
    found = [Task("demo drawings", drawn, tuple(drawn.labels), {"all 12": tuple(drawn.labels)})]
    if (data / "cifar10-train.zip").exists():
        photographs = cifar10(data)
        groups = {"all 10": tuple(photographs.labels), "7 known": KNOWN, "3 taught": TAUGHT}
        found += [
            Task("CIFAR-10, deer, frog, truck taught", photographs, TAUGHT, groups),
            Task("CIFAR-10, all ten taught", photographs, tuple(photographs.labels), groups),
        ]
    if (data / "clothing.zip").exists():
        clothes = clothing(data)
        found.append(
            Task("clothing", clothes, tuple(clothes.labels), {"all 10": tuple(clothes.labels)})
        )
    return found


def measure_costs(data: Path) -> list[Cost]:
    """Building, asking, teaching, memory; nothing without the photographs."""
    if not (data / "cifar10-train.zip").exists():
        return []
    photographs = cifar10(data)
    large = [path.read_bytes() for path in sorted((data / "photos").glob("*.jpg"))]
    with tempfile.TemporaryDirectory() as folder:
        costs = call_costs(photographs, Path(folder), large)
        return [build_cost(photographs, Path(folder)), *costs]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--data",
        type=Path,
        default=ROOT.parent / "shared" / "data",
        help="folder with cifar10-train.zip, cifar10-test.zip, clothing.zip and photos/",
    )
    parser.add_argument("--method", choices=("full", "paper"), default=None)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()

    encoder = load_encoder()
    found: list[Score] = []
    todo = [(task, seed) for task in tasks(arguments.data) for seed in arguments.seeds]
    for task, seed in tqdm(todo, desc="teach and ask"):
        found += scores(task, seed, encoder, arguments.method)
    costs = measure_costs(arguments.data)
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "open_clip_torch", "faiss-gpu")},
        "model": encoder.name,
        "method": arguments.method or "full",
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(
        json.dumps(
            {
                "machine": machine,
                "scores": [asdict(score) for score in found],
                "costs": [asdict(cost) for cost in costs],
            },
            indent=1,
        )
        + "\n"
    )
    print(report.markdown(found, costs))
    report.write(found, costs, machine)


if __name__ == "__main__":
    main()
