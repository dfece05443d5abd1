"""The folder of a report: metrics.csv, summary.json, figures and report.html, for panel, scripts and command line alike."""

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
from ..io.slicing_axis import AXIAL
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
"""What a report writes into its folder."""


def write_results(
    folder: Path,
    title: str,
    comparisons: Sequence[Comparison],
    provenance: Mapping[str, Any],
    *,
    material: Mapping[str, CaseMaterial] | None = None,
    reference_note: str = "",
    extra: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    paired: PairedComparison | None = None,
    trained_on: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Write metrics.csv, summary.json, figures/ and report.html.

    Args:
        folder: where the files go.
        title: of the report.
        comparisons: the cases.
        provenance: how the results came about; goes into summary.json and the report.
        material: pictures, findings, verdict and viewer by case.
        reference_note: says who made the reference; it stands beside every number, in all three files.
        extra: further entries of summary.json.
        notes: warnings in the report.
        paired: a comparison with another checkpoint on the same cases, for the report.
        trained_on: cases that the checkpoint was trained on, and how each was recognised. They are counted apart, in no
            number over cases, unless there are no others.

    Returns:
        What summary.json holds.

    Raises:
        InputError: if a file can't be written.
    """
    material, trained_on = material or {}, trained_on or {}
    axes = {comparison.slicing_axis for comparison in comparisons} - {AXIAL}
    provenance = {**provenance, **({"slicing axis": ", ".join(sorted(axes))} if axes else {})}
    if reference_note:
        comparisons = [_with_note(comparison, reference_note) for comparison in comparisons]
    rows = [row for comparison in comparisons for row in comparison.rows]
    verdicts = {case: own.verdict for case, own in material.items() if own.verdict}
    counted = counted_cases(comparisons, trained_on)
    write_metrics_csv(rows, folder / "metrics.csv", verdicts, trained_on)
    more: dict[str, Any] = {"reference": reference_note} if reference_note else {}
    more |= {"notes": {one.case: list(one.notes) for one in comparisons if one.notes}, "provenance": dict(provenance)}
    if verdicts:
        more["verdicts"] = {case: asdict(verdict) for case, verdict in verdicts.items()}
    if trained_on:
        names = {"names": dict(trained_on), "in_the_numbers_above": len(counted) == len(comparisons)}
        more["trained_on"] = names | summary([row for row in rows if row.case in trained_on])
    rows = [row for comparison in counted for row in comparison.rows]
    written = write_summary(rows, folder / "summary.json", more | dict(extra or {}))
    only = material.get(comparisons[0].case, CaseMaterial()) if len(comparisons) == 1 else CaseMaterial()
    write_figures(folder / "figures", counted, [one for one in only.pictures if one[0].startswith(TITLES)])
    write_reports(
        folder, title, comparisons, material, provenance, reference_note=reference_note, notes=notes, paired=paired,
        trained_on=trained_on,
    )  # fmt: skip
    return written


def _with_note(comparison: Comparison, note: str) -> Comparison:
    return replace(
        comparison,
        rows=tuple(replace(row, note=f"{note}; {row.note}" if row.note else note) for row in comparison.rows),
    )


def provenance(checkpoint: Checkpoint | None = None, device: str = "", **more: Any) -> dict[str, Any]:
    """What a reader needs to reproduce a result: checkpoint, device, software and date, and what else is given."""
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
    """Write one slice curve per structure for a single case, box plots for several, and pictures; returns the paths.

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
    """What the report of one case is about: `facts` tell how the prediction came about, `pictures` are (caption, PNG bytes).

    `limits` says what the findings were compared with.
    With `images` the page holds a viewer and pictures of the worst, median and best slice; positions in `comparison` must
    then be in the scan's coordinates.
    """

    comparison: Comparison
    findings: Sequence[Finding] = ()
    verdict: Verdict | None = None
    facts: Mapping[str, Any] | None = None
    pictures: Sequence[tuple[str, bytes]] = ()
    images: CaseImages | None = None
    limits: str = ""


def write_case_report(
    report: CaseReport, folder: Path | str, cancelled: Callable[[], bool] | None = None
) -> Path | None:
    """Write report.html, metrics.csv and summary.json; the page is written last.

    Args:
        report: what is written.
        folder: where the files go.
        cancelled: asked once, after the pictures are drawn and before anything is written.

    Returns:
        The path of the page, or None if it was cancelled; then nothing is written.

    Raises:
        InputError: if a file can't be written.
    """
    folder, comparison = Path(folder), report.comparison
    pictures, viewer = tuple(report.pictures), None
    if (images := report.images) is not None:
        pictures += slice_pictures(images.volume, images.prediction, images.reference, comparison)
        viewer = viewer_data(comparison, images.volume, images.prediction, images.reference)
    if cancelled is not None and cancelled():
        return None
    material = CaseMaterial(pictures, report.findings, report.verdict, viewer, limits=report.limits)
    title = comparison.case or comparison.prediction_name or "Comparison"
    facts = {**(report.facts or {}), **provenance()}
    write_results(folder, title, [comparison], facts, material={comparison.case: material})
    return folder / "report.html"


def outputs_in(folder: Path | str) -> list[str]:
    """Names of the files and folders that a report would replace in a folder."""
    return [name for name in OUTPUTS if (Path(folder) / name).exists()]
