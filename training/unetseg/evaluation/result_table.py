"""The tables that comparisons print; what they leave in their folder is written by the engine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.evaluation.comparison import Comparison, StructureComparison
from UNetSegmenterLib.engine.evaluation.statistics import counted_cases
from UNetSegmenterLib.engine.labels.matching import BY_VALUE
from UNetSegmenterLib.engine.report.paired_table import PairedDifference

from ..console import print_line, table, warn


def print_results(comparisons: Sequence[Comparison], summary: Mapping[str, Any], title: str, note: str = "") -> None:
    """Print one table for all structures: values of one case, or mean ± standard deviation over several; then warnings."""
    seen = summary.get("trained_on")
    apart = [] if seen is None or seen["in_the_numbers_above"] else seen["names"]
    own = counted_cases(comparisons, apart)
    if len(own) == 1:
        print_case(own[0], title, note)
    else:
        _print_over_cases(len(own), summary, title, note)
    if seen is not None and apart:
        _print_seen(seen)
    for comparison in comparisons:
        for text in comparison.warnings:
            warn(text if comparison.case == title else f"{comparison.case}: {text}")


def _print_over_cases(cases: int, summary: Mapping[str, Any], title: str, note: str) -> None:
    rows = []
    for name, entry in summary["structures"].items():
        dice, hd95, nsd = entry["dice"], entry["hd95_mm"], entry["nsd"]
        missed = f"{entry['missed']} of {entry['ok'] + entry['missed']}"
        rows.append((name, _mean(dice, 3), _mean(hd95, 1, dice["n"]), _mean(nsd, 3), str(dice["n"]), missed))
    headers = ("structure", "Dice", "HD95 mm", "NSD", "n", "missed")
    table(headers, rows, f"{cases} cases of {title} (mean ± standard deviation)")
    measured = sum(entry["dice"]["n"] > 0 for entry in summary["structures"].values())
    _print_mean(summary["mean_dice"], measured, note)
    if by_value := [name for name, entry in summary["structures"].items() if BY_VALUE in entry["matched"]]:
        print_line(f"matched by label value alone: {', '.join(by_value)}")
    over = summary["mean_dice_over_cases"]
    if over["n"]:
        interval = "{:.3f} to {:.3f}".format(*over["ci95"]) if over["ci95"] else "none: one case"
        print_line(f"mean Dice over {over['n']} cases: {over['mean']:.3f} (95 % confidence interval {interval})")
    if cases > len(summary["worst_cases"]):
        worst = ", ".join(f"{one['case']} ({one['mean_dice']:.3f})" for one in summary["worst_cases"])
        print_line(f"cases with the lowest mean Dice: {worst}")


def _print_seen(seen: Mapping[str, Any]) -> None:
    """The cases that were trained on, which are in no number above."""
    over = seen["mean_dice_over_cases"]
    mean = f": mean Dice over cases {over['mean']:.3f}, in no number above" if over["n"] else ""
    print_line(f"trained on ({len(seen['names'])}): {', '.join(seen['names'])}{mean}")


def print_pairs(rows: Sequence[PairedDifference], title: str) -> None:
    """Print paired differences, one row per structure; the column `cases` counts what difference and interval are over."""
    infinite = any(row.infinite for row in rows)
    headers = ("structure", "difference", "95 % interval", "better", "worse", "cases", "p", "p (Holm)")
    table(
        (*headers, "infinite") if infinite else headers,
        [
            (
                row.structure,
                "-" if math.isnan(row.difference) else f"{row.difference:+.4f}",
                "-" if math.isnan(row.ci95[0]) else f"{row.ci95[0]:+.4f} to {row.ci95[1]:+.4f}",
                str(row.better),
                str(row.worse),
                str(row.n),
                f"{row.p:.3f}",
                "-" if math.isnan(row.p_holm) else f"{row.p_holm:.3f}",
                *([str(row.infinite)] if infinite else []),
            )
            for row in rows
        ],
        title,
    )
    if any(row.n == 1 for row in rows):
        print_line("one case has no interval")
    if infinite:
        print_line(
            '"infinite" counts further cases with an infinite distance: in better, worse and p, but in no difference'
        )


def print_case(comparison: Comparison, title: str, note: str = "") -> None:
    """Print the measures of one case, one row per structure in the order of the reference."""
    measured = [row for row in comparison.rows if row.measures is not None]
    bases = {row.matched for row in measured}  # what the pairs rest on: a column where they differ, else a line
    extra = (["matched by"] if len(bases) > 1 else []) + (["against"] if note else [])
    headers = ["structure", "Dice", "HD95 mm", "NSD", "prediction ml", "reference ml", "status"]
    if measured:
        table([*headers, *extra], [_cells(row, "matched by" in extra, note) for row in measured], title)
    if len(bases) == 1:
        print_line(f"structures are matched by {bases.pop().removeprefix('by ')}")
    for row in comparison.rows:
        if row.measures is None:
            print_line(f"  {row.structure}: {row.note or row.status}")
    for text in comparison.notes:
        print_line(f"  {text}")
    dice = [row.measures.dice for row in measured if row.measures]
    _print_mean(sum(dice) / len(dice) if dice else None, len(dice), note)
    if dice:
        print_line("one case: no interval over cases")


def _cells(row: StructureComparison, basis: bool, note: str) -> list[str]:
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
    return cells + [row.matched.removeprefix("by ")] * basis + [note] * bool(note)


def _print_mean(value: float | None, structures: int, note: str) -> None:
    if value is not None:
        print_line(f"mean Dice over {counted(structures, 'structure')}: {value:.3f}" + (f" ({note})" if note else ""))


def _mean(entry: Mapping[str, Any], digits: int, cases: int | None = None) -> str:
    """Mean and standard deviation; with n, where that is not the number of `cases` in the row."""
    if entry["mean"] is None:
        return "-"
    deviation = "" if entry["sd"] is None else f" ± {entry['sd']:.{digits}f}"
    fewer = f" (n = {entry['n']})" if cases not in (None, entry["n"]) else ""
    return f"{entry['mean']:.{digits}f}{deviation}{fewer}"
