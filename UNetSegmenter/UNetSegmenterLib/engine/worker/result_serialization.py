"""Comparisons, findings and the report of one case as Slicer and the worker exchange them: JSON, and raw files for images."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluation.comparison import Comparison, StructureComparison
from ..evaluation.measures import Measures
from ..evaluation.slice_measures import SliceCurve
from ..evaluation.verdict import Verdict
from ..labels.matching_by_overlap import Proposal
from ..labels.structures import Structure
from ..plausibility.finding import Finding
from ..stepwise import Steps
from .image_serialization import (
    array_steps,
    geometry_to_json,
    segmentation_from_json,
    segmentation_steps,
    volume_from_json,
)

if TYPE_CHECKING:
    from ..report.report_folder import CaseImages, CaseReport


def comparison_to_json(comparison: Comparison) -> dict[str, Any]:
    """Rows and notes, JSON-ready; NaN and infinity as Python's json has them. The matching is left out: rows name both sides."""
    return {
        "case": comparison.case,
        "rows": [_row_to_json(row) for row in comparison.rows],
        "notes": list(comparison.notes),
        "prediction_name": comparison.prediction_name,
        "reference_name": comparison.reference_name,
        "complete": comparison.complete,
        "proposals": [asdict(proposal) for proposal in comparison.proposals],
        "slicing_axis": comparison.slicing_axis,
        "warnings": list(comparison.warnings),
    }


def comparison_from_json(plain: dict[str, Any]) -> Comparison:
    """The comparison that `comparison_to_json` wrote, without its matching."""
    return Comparison(
        plain["case"],
        tuple(_row_from_json(row) for row in plain["rows"]),
        tuple(plain["notes"]),
        prediction_name=plain["prediction_name"],
        reference_name=plain["reference_name"],
        complete=plain["complete"],
        proposals=tuple(Proposal(**proposal) for proposal in plain["proposals"]),
        slicing_axis=plain["slicing_axis"],
        warnings=tuple(plain.get("warnings", ())),
    )


def _row_to_json(row: StructureComparison) -> dict[str, Any]:
    sides = {side: structure and structure.to_json() for side, structure in _sides(row).items()}
    return asdict(row) | sides


def _sides(row: StructureComparison) -> dict[str, Structure | None]:
    return {"prediction": row.prediction, "reference": row.reference}


def _row_from_json(plain: dict[str, Any]) -> StructureComparison:
    made: dict[str, Any] = dict(plain)
    made["color"] = tuple(plain["color"])
    for side in ("prediction", "reference"):
        made[side] = Structure.from_json(plain[side]) if plain[side] else None
    made["measures"] = Measures(**plain["measures"]) if plain["measures"] else None
    if plain["curve"]:
        curve: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain["curve"].items()}
        made["curve"] = SliceCurve(**curve)
    if plain["largest_error_ras"]:
        made["largest_error_ras"] = tuple(plain["largest_error_ras"])
    return StructureComparison(**made)


def report_steps(report: CaseReport, folder: Path) -> Steps:
    """Write the content of a report into `folder`, one file per step; returns what `report_from_json` reads."""
    content = {
        "comparison": comparison_to_json(report.comparison),
        "findings": [finding.to_json() for finding in report.findings],
        "verdict": asdict(report.verdict) if report.verdict else None,
        "facts": dict(report.facts or {}),
        "limits": report.limits,
    }
    path = folder / "report.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    yield
    pictures: list[tuple[str, str]] = []
    for caption, png in report.pictures:
        picture = folder / f"picture-{len(pictures)}.png"
        picture.write_bytes(png)
        pictures.append((caption, str(picture)))
        yield
    images = None
    if report.images is not None:
        images = yield from _image_steps(report.images, folder)
    return {"words": str(path), "pictures": pictures, "images": images}


def report_from_json(plain: dict[str, Any]) -> CaseReport:
    """The report that `report_steps` wrote."""
    from ..report.report_folder import CaseReport

    content = json.loads(Path(plain["words"]).read_text(encoding="utf-8"))
    return CaseReport(
        comparison_from_json(content["comparison"]),
        tuple(Finding.from_json(finding) for finding in content["findings"]),
        Verdict(**content["verdict"]) if content["verdict"] else None,
        content["facts"],
        tuple((caption, Path(path).read_bytes()) for caption, path in plain["pictures"]),
        _images_from_json(plain["images"]) if plain["images"] else None,
        content["limits"],
    )


def _image_steps(images: CaseImages, folder: Path) -> Steps:
    volume = images.volume
    image = yield from array_steps(volume.array, folder / "scan.raw", volume.array.dtype.newbyteorder("<"))
    return {
        "scan": {
            **image,
            "geometry": geometry_to_json(volume.geometry),
            "name": volume.name,
            "intensities": volume.intensities,
        },
        "prediction": (yield from segmentation_steps(images.prediction, folder, "prediction")),
        "reference": (yield from segmentation_steps(images.reference, folder, "reference")),
    }


def _images_from_json(plain: dict[str, Any]) -> CaseImages:
    from ..report.report_folder import CaseImages

    sides = (segmentation_from_json(plain[side]) for side in ("prediction", "reference"))
    return CaseImages(volume_from_json(plain["scan"]), *sides)
