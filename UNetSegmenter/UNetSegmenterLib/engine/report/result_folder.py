"""What every comparison leaves in its folder, whoever asked for it: metrics.csv, summary.json, figures and report.html."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import __version__
from ..evaluation.comparison import Comparison
from ..evaluation.statistics import counted_cases, summary, write_metrics_csv, write_summary
from . import CaseMaterial, Paired, write_figures, write_reports
from .slice_pictures import TITLES

if TYPE_CHECKING:
    from ..model.checkpoint import Checkpoint


def write_results(
    folder: Path,
    title: str,
    comparisons: Sequence[Comparison],
    provenance: Mapping[str, Any],
    material: Mapping[str, CaseMaterial] | None = None,
    reference_note: str = "",
    extra: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    paired: Paired | None = None,
    trained_on: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Write metrics.csv, summary.json, figures/ and report.html, and return what summary.json holds.

    `trained_on` names the cases that the checkpoint has seen in training, and how that is known: they are counted apart, in
    no number over cases, unless there are no others. `reference_note` says who made the reference: it stands beside every
    number, in all three files. `extra` goes into summary.json, `notes` and `paired` (another checkpoint on the same cases)
    into the report. Raises InputError if a file can't be written.
    """
    if reference_note:
        comparisons = [_with_note(comparison, reference_note) for comparison in comparisons]
    rows = [row for comparison in comparisons for row in comparison.rows]
    verdicts = {case: own.verdict for case, own in (material or {}).items() if own.verdict}
    apart = trained_on or {}
    counted = counted_cases(comparisons, apart)
    write_metrics_csv(rows, folder / "metrics.csv", verdicts, apart)
    more: dict[str, Any] = {"reference": reference_note} if reference_note else {}
    more |= {"notes": {c.case: list(c.notes) for c in comparisons if c.notes}, "provenance": dict(provenance)}
    if verdicts:
        more["verdicts"] = {case: asdict(verdict) for case, verdict in verdicts.items()}
    if apart:
        said = {"names": dict(apart), "in_the_numbers_above": len(counted) == len(comparisons)}
        more["trained_on"] = said | summary([row for row in rows if row.case in apart])
    rows = [row for comparison in counted for row in comparison.rows]
    written = write_summary(rows, folder / "summary.json", more | dict(extra or {}))
    own = (material or {}).get(comparisons[0].case, CaseMaterial()) if len(comparisons) == 1 else CaseMaterial()
    write_figures(folder / "figures", counted, [one for one in own.pictures if one[0].startswith(TITLES)])
    write_reports(
        folder, title, comparisons, material, provenance, reference_note=reference_note, notes=notes, paired=paired,
        trained_on=apart,
    )  # fmt: skip
    return written


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
