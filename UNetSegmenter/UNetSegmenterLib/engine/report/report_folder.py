"""What every comparison leaves in its folder, whoever asked for it: metrics.csv, summary.json, figures and report.html."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import __version__
from ..evaluation.comparison import Comparison
from ..evaluation.result_files import write_metrics_csv, write_summary
from ..evaluation.statistics import counted_cases, summary
from ..evaluation.verdict import Verdict
from ..io.atomic_files import write_bytes
from ..io.volume import Volume
from ..labels.segmentation import Segmentation
from ..plausibility.finding import Finding
from .charts import box_plot, curve_chart, distributions, standalone_svg
from .niivue_viewer import viewer_data
from .page_elements import CaseMaterial
from .paired_table import PairedComparison
from .report_pages import unique_name, write_reports
from .slice_pictures import TITLES, slice_pictures

if TYPE_CHECKING:
    from ..model.checkpoint import Checkpoint

OUTPUTS = ("report.html", "metrics.csv", "summary.json", "figures")
"""What a report of a case leaves in its folder."""


def write_results(
    folder: Path,
    title: str,
    comparisons: Sequence[Comparison],
    provenance: Mapping[str, Any],
    material: Mapping[str, CaseMaterial] | None = None,
    reference_note: str = "",
    extra: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    paired: PairedComparison | None = None,
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


def write_figures(
    folder: Path | str, comparisons: Sequence[Comparison], pictures: Sequence[tuple[str, bytes]] = ()
) -> list[Path]:
    """Write a slice curve a structure for a single case, box plots for several, and pictures; returns the paths.

    `pictures` are (caption, PNG bytes); the file is named after the caption up to its first colon. Raises InputError if a
    file can't be written.
    """
    if len(comparisons) == 1:
        rows = [row for row in comparisons[0].rows if row.curve]
        charts = [(f"slices-{row.structure}", curve_chart(row.structure, row.curve)) for row in rows if row.curve]
    else:
        charts = [
            (f"{one.measure.removesuffix('_mm')}-per-structure", box_plot(one)) for one in distributions(comparisons)
        ]
    taken: set[str] = set()
    files = {f"{unique_name(name, taken)}.svg": standalone_svg(chart).encode() for name, chart in charts}
    files |= {f"{unique_name(caption.split(':')[0].lower(), taken)}.png": png for caption, png in pictures}
    for name, content in files.items():
        write_bytes(Path(folder) / name, content)
    return [Path(folder) / name for name in files]


@dataclass(frozen=True)
class CaseImages:
    """The scan, and prediction and reference in the scan's coordinates."""

    volume: Volume
    prediction: Segmentation
    reference: Segmentation


@dataclass(frozen=True)
class CaseReport:
    """What is reported: `facts` say how the prediction came about, `pictures` are (caption, PNG bytes).

    With `images` the page holds a viewer and pictures of the worst, median and best slice; places in `comparison` must then
    be in the scan's coordinates.
    """

    comparison: Comparison
    findings: Sequence[Finding] = ()
    verdict: Verdict | None = None
    facts: Mapping[str, Any] | None = None
    pictures: Sequence[tuple[str, bytes]] = ()
    images: CaseImages | None = None


def write_case_report(
    report: CaseReport, folder: Path | str, cancelled: Callable[[], bool] | None = None
) -> Path | None:
    """Write report.html, metrics.csv and summary.json and return the path of the page.

    `cancelled()` is asked once, after what takes long and before anything is written: if it holds, nothing is, and None is
    returned. Raises InputError if a file can't be written; the page is written last.
    """
    folder, comparison = Path(folder), report.comparison
    pictures, viewer = tuple(report.pictures), None
    if (images := report.images) is not None:
        pictures += slice_pictures(images.volume, images.prediction, images.reference, comparison)
        viewer = viewer_data(comparison, images.volume, images.prediction, images.reference)
    if cancelled is not None and cancelled():
        return None
    material = CaseMaterial(pictures, report.findings, report.verdict, viewer)
    title = comparison.case or comparison.prediction_name or "Comparison"
    facts = {**(report.facts or {}), **provenance()}
    write_results(folder, title, [comparison], facts, {comparison.case: material})
    return folder / "report.html"


def outputs_in(folder: Path | str) -> list[str]:
    """Names of what a report would replace in a folder."""
    return [name for name in OUTPUTS if (Path(folder) / name).exists()]
