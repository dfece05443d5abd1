"""The report of one case as Slicer hands it to the worker: JSON, and raw files for what is large."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.verdict import Verdict
from ..io.volume import Volume
from ..report.case_report import CaseImages, CaseReport
from .serialization import (
    Steps,
    array_steps,
    comparison_from_json,
    comparison_to_json,
    finding_from_json,
    geometry_from_json,
    geometry_to_json,
    segmentation_from_json,
    segmentation_steps,
)


def report_steps(report: CaseReport, folder: Path) -> Steps:
    """Write what a report is made of below `folder`, a piece a step; returns what `report_from_json` reads."""
    words = {
        "comparison": comparison_to_json(report.comparison),
        "findings": [finding.to_json() for finding in report.findings],
        "verdict": asdict(report.verdict) if report.verdict else None,
        "facts": dict(report.facts or {}),
    }
    path = folder / "report.json"
    path.write_text(json.dumps(words), encoding="utf-8")
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
    words = json.loads(Path(plain["words"]).read_text(encoding="utf-8"))
    return CaseReport(
        comparison_from_json(words["comparison"]),
        tuple(finding_from_json(finding) for finding in words["findings"]),
        Verdict(**words["verdict"]) if words["verdict"] else None,
        words["facts"],
        tuple((caption, Path(path).read_bytes()) for caption, path in plain["pictures"]),
        _images_from_json(plain["images"]) if plain["images"] else None,
    )


def _image_steps(images: CaseImages, folder: Path) -> Steps:
    volume = images.volume
    image = yield from array_steps(volume.array, folder / "scan.raw", volume.array.dtype.newbyteorder("<"))
    return {
        "scan": {**image, "geometry": geometry_to_json(volume.geometry), "name": volume.name},
        "prediction": (yield from segmentation_steps(images.prediction, folder, "prediction")),
        "reference": (yield from segmentation_steps(images.reference, folder, "reference")),
    }


def _images_from_json(plain: dict[str, Any]) -> CaseImages:
    scan = plain["scan"]
    geometry = geometry_from_json(scan["geometry"])
    array = np.memmap(scan["path"], dtype=scan["dtype"], mode="r", shape=geometry.shape)
    sides = (segmentation_from_json(plain[side]) for side in ("prediction", "reference"))
    return CaseImages(Volume(array, geometry, scan["name"]), *sides)
