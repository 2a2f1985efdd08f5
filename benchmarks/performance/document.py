"""What docs/performance.md and the README say of the last results, put between their markers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.performance import results, table
from benchmarks.performance.figures import Budget, Part
from benchmarks.performance.machine import ROOT
from benchmarks.performance.results import Results
from benchmarks.performance.row import RowJson

DOCUMENT, README = ROOT / "docs" / "performance.md", ROOT / "README.md"
NOT_MEASURED = "Not measured yet: `make bench` does."
ROUNDING_MS = 1e-6
NO_GPU = "None of these has been run: there was no CUDA device."


def refresh(
    document: Path = DOCUMENT,
    readme: Path = README,
    cpu: Path = results.CPU,
    gpu: Path = results.GPU,
) -> None:
    """Show both results files in both documents.

    Raises:
        ValueError: a document lacks one of its markers.
    """
    on_cpu, on_gpu = results.read(cpu), results.read(gpu)
    text = document.read_text(encoding="utf-8")
    text = replaced(text, "rows", rows_block(on_cpu))
    text = replaced(text, "stages", stages_block(on_cpu))
    text = replaced(text, "gpu", gpu_block(on_gpu))
    document.write_text(text, encoding="utf-8")
    words = readme.read_text(encoding="utf-8")
    readme.write_text(replaced(words, "performance", readme_block(on_cpu)), encoding="utf-8")


def replaced(text: str, name: str, block: str) -> str:
    """`text` with `block` between the markers of `name`.

    Raises:
        ValueError: it has no such markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"expected the markers {begin} and {end} in the document, got none")
    return f"{before}{begin}\n\n{block}\n\n{end}{after}"


def rows_block(found: Results | None) -> str:
    """All rows, and what they were measured on."""
    if found is None:
        return NOT_MEASURED
    return f"{tally(found.rows)}\n\n{table.markdown(found.rows)}\n\n{_measured_on(found)}"


def gpu_block(found: Results | None) -> str:
    """Likewise, of a GPU."""
    if found is None:
        return NO_GPU
    if not found.measured:
        return f"{NO_GPU}\n\n{table.markdown(found.rows)}"
    return rows_block(found)


def stages_block(found: Results | None) -> str:
    """A table for each request whose time was taken apart."""
    if found is None or not found.budgets:
        return NOT_MEASURED
    return "\n\n".join(_budget(budget) for budget in found.budgets)


def readme_block(found: Results | None) -> str:
    """How many goals were reached, and the rows that compare with other ways to serve."""
    if found is None:
        return NOT_MEASURED
    compared = [row for row in found.rows if row["name"].startswith("HTTP: requests/s against")]
    shown = [_compared(row) for row in compared if row["ours"] is not None]
    beside = f" Requests a second: {', '.join(shown)}." if shown else ""
    return f"{tally(found.rows)}{beside}"


def tally(rows: Iterable[RowJson]) -> str:
    """How many goals were reached, missed and not run."""
    held = [row for row in rows if row["goal"] is not None]
    reached = sum(row["reached"] is True for row in held)
    missed = sum(row["reached"] is False for row in held)
    return (
        f"Of {len(held)} goals {reached} were reached, {missed} missed, "
        f"and {len(held) - reached - missed} not run."
    )


def _compared(row: RowJson) -> str:
    other = row["name"].removeprefix("HTTP: requests/s against ")
    return (
        f"{table.figure(row['ratio'])} times {other} "
        f"({table.figure(row['ours'])} against {table.figure(row['theirs'])}; "
        f"goal {table.goal(row)}, {'reached' if row['reached'] else 'missed'})"
    )


def _measured_on(found: Results) -> str:
    facts = found.facts
    machine = facts["machine"]
    gpus = f", {', '.join(machine['gpus'])}" if machine["gpus"] else ", no GPU"
    packages = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f"Measured on {facts['date']} at commit {facts['commit']}: {machine['processor']}, "
        f"{machine['cores']} cores ({', '.join(machine['flags'])}), "
        f"{machine['memory_gb']:.0f} GB{gpus}; {packages}; {facts['photographs']}."
    )


def _budget(budget: Budget) -> str:
    lines = [
        f"{budget.name}, {table.figure(budget.whole)} ms in all:",
        "",
        "| stage | ms | part of the whole | least that it could take | which is |",
        "|---|---|---|---|---|",
    ]
    parts = list(budget.parts)
    if abs(budget.rest) >= ROUNDING_MS:
        parts.append(Part("rest", budget.rest))
    for part in parts:
        share = f"{100 * part.ms / budget.whole:.0f} %"
        figures = f"{table.figure(part.ms)} | {share} | {table.figure(part.limit)}"
        lines.append(f"| {part.name} | {figures} | {part.limit_is} |")
    return "\n".join(lines)
