"""The report of one case as the panel and scripts write it: all that is known of it, in one folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..evaluation.comparison import Comparison
from ..evaluation.verdict import Verdict
from ..io.volume import Volume
from ..labels.segmentation import Segmentation
from . import CaseMaterial, slice_pictures, viewer_data
from .result_folder import provenance, write_results

OUTPUTS = ("report.html", "metrics.csv", "summary.json", "figures")
"""What a report of a case leaves in its folder."""


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
    findings: Sequence[Any] = ()
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
