"""What every comparison leaves in its folder, and the table that it prints."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib import __version__
from UNetSegmenterLib.engine.comparison import Comparison, Row
from UNetSegmenterLib.engine.report import CaseMaterial, write_reports
from UNetSegmenterLib.engine.statistics import write_metrics_csv, write_summary

from .console import say, table

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.checkpoint import Checkpoint


def write_results(
    folder: Path,
    title: str,
    comparisons: Sequence[Comparison],
    provenance: Mapping[str, Any],
    material: Mapping[str, CaseMaterial] | None = None,
    reference_note: str = "",
) -> dict[str, Any]:
    """Write metrics.csv, summary.json and report.html, and return what summary.json holds.

    `reference_note` says who made the reference: it stands beside every number, in all three files.
    """
    if reference_note:
        comparisons = [_with_note(comparison, reference_note) for comparison in comparisons]
    rows = [row for comparison in comparisons for row in comparison.rows]
    write_metrics_csv(rows, folder / "metrics.csv")
    extra: dict[str, Any] = {"reference": reference_note} if reference_note else {}
    extra |= {"notes": {c.case: list(c.notes) for c in comparisons if c.notes}, "provenance": dict(provenance)}
    summary = write_summary(rows, folder / "summary.json", extra)
    write_reports(folder, title, comparisons, material, provenance, reference_note=reference_note)
    return summary


def _with_note(comparison: Comparison, note: str) -> Comparison:
    return replace(
        comparison,
        rows=tuple(replace(row, note=f"{note}; {row.note}" if row.note else note) for row in comparison.rows),
    )


def provenance(checkpoint: Checkpoint | None = None, device: str = "", **more: Any) -> dict[str, Any]:
    """What a reader of a result needs to get it again."""
    facts: dict[str, Any] = {}
    if checkpoint is not None:
        facts = {
            "checkpoint": f"{checkpoint.card.title} ({checkpoint.path.name})",
            "checkpoint SHA-256": checkpoint.sha256,
        }
    facts |= more | ({"device": device} if device else {})
    software = f"unetsegmenter {__version__}, Python {platform.python_version()}, {platform.system()}"
    return facts | {"software": software, "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}


def print_results(comparisons: Sequence[Comparison], summary: Mapping[str, Any], title: str, note: str = "") -> None:
    """One table for all structures: values of one case, or mean ± standard deviation over several."""
    if len(comparisons) == 1:
        print_case(comparisons[0], title, note)
        return
    rows = []
    for name, entry in summary["structures"].items():
        dice, hd95, nsd = entry["dice"], entry["hd95_mm"], entry["nsd"]
        missed = f"{entry['missed']} of {entry['ok'] + entry['missed']}"
        rows.append((name, _mean(dice, 3), _mean(hd95, 1), _mean(nsd, 3), str(dice["n"]), missed))
    table(("structure", "Dice", "HD95 mm", "NSD", "n", "missed"), rows, f"{title} (mean ± standard deviation)")
    _print_mean(summary["mean_dice"], len(rows), note)


def print_case(comparison: Comparison, title: str, note: str = "") -> None:
    """The measures of one case, a row a structure in the order of the reference."""
    measured = [row for row in comparison.rows if row.measures is not None]
    headers = ["structure", "Dice", "HD95 mm", "NSD", "prediction ml", "reference ml", "status"]
    table([*headers, "against"] if note else headers, [_cells(row, note) for row in measured], title)
    for row in comparison.rows:
        if row.measures is None:
            say(f"  {row.structure}: {row.note or row.status}")
    for text in comparison.notes:
        say(f"  {text}")
    dice = [row.measures.dice for row in measured if row.measures]
    _print_mean(sum(dice) / len(dice) if dice else None, len(dice), note)


def _cells(row: Row, note: str) -> list[str]:
    m = row.measures
    assert m is not None
    hd95 = "inf" if math.isinf(m.hd95_mm) else f"{m.hd95_mm:.1f}"
    cells = [
        row.structure,
        f"{m.dice:.3f}",
        hd95,
        f"{m.nsd:.3f}",
        f"{m.prediction_ml:.0f}",
        f"{m.reference_ml:.0f}",
        row.status,
    ]
    return [*cells, note] if note else cells


def _print_mean(value: float | None, structures: int, note: str) -> None:
    if value is not None:
        say(f"mean Dice over {structures} structures: {value:.3f}" + (f" ({note})" if note else ""))


def _mean(entry: Mapping[str, Any], digits: int) -> str:
    if entry["mean"] is None:
        return "-"
    spread = "" if entry["sd"] is None else f" ± {entry['sd']:.{digits}f}"
    return f"{entry['mean']:.{digits}f}{spread}"
