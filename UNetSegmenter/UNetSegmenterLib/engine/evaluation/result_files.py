"""The result files of an evaluation: metrics.csv with one row per case and structure, and summary.json."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ..io.atomic_files import write_atomically, write_text
from ..io.csv_text import csv_text
from .comparison import StructureComparison
from .statistics import summary
from .verdict import Verdict

COLUMNS = (
    "case", "structure", "status", "dice", "iou", "precision", "recall", "hd95_mm", "hd_mm", "assd_mm", "nsd",
    "nsd_tolerance_mm", "prediction_ml", "reference_ml", "difference_ml", "components", "reference_components", "note",
    "matched",
)  # fmt: skip
SEEN_COLUMN = "trained_on"
VERDICT_COLUMNS = ("verdict", "comment", "reviewer")


def write_summary(rows: Sequence[StructureComparison], path: Path | str, extra: dict | None = None) -> dict:
    """Write summary.json with the entries of `extra` after those of `summary`, and return what was written."""
    content = summary(rows) | (extra or {})
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(path, text)
    return content


def write_metrics_csv(
    rows: Sequence[StructureComparison],
    path: Path | str,
    verdicts: Mapping[str, Verdict] | None = None,
    trained_on: Collection[str] = (),
) -> None:
    """Write metrics.csv, one row per case and structure; infinite distances as "inf", values that were not measured empty.

    With `verdicts` by case, each row ends with the verdict on its case; with cases in `trained_on`, with "yes" or "no".
    """

    def write(partial: Path) -> None:
        with partial.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(metrics_table(rows, verdicts, trained_on))

    write_atomically(path, write)


def metrics_table(
    rows: Iterable[StructureComparison], verdicts: Mapping[str, Verdict] | None = None, trained_on: Collection[str] = ()
) -> list[list[str | int]]:
    """The cells of metrics.csv, header first; no text can be read as a formula by a spreadsheet."""
    more = (*(VERDICT_COLUMNS if verdicts else ()), *((SEEN_COLUMN,) if trained_on else ()))
    table: list[list[str | int]] = [[*COLUMNS, *more]]
    for row in rows:
        cells = [_cell(row, column) for column in COLUMNS]
        if verdicts:
            verdict = verdicts.get(row.case) or Verdict()
            cells += map(csv_text, (verdict.score, verdict.comment, verdict.reviewer))
        if trained_on:
            cells.append("yes" if row.case in trained_on else "no")
        table.append(cells)
    return table


def _cell(row: StructureComparison, column: str) -> str | int:
    if column in ("case", "structure", "status", "note", "matched"):
        return csv_text(getattr(row, column))
    if row.measures is None:
        return ""
    value = row.tolerance_mm if column == "nsd_tolerance_mm" else getattr(row.measures, column)
    if isinstance(value, int):
        return value
    return "" if math.isnan(value) else f"{value:.6g}"
