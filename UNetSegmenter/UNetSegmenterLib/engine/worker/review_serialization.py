"""A review as Slicer and the worker exchange it: the list of cases as JSON, the images of one case as raw files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..evaluation.review_cases import REVIEWS, CaseList, ReviewCase, list_cases
from ..evaluation.verdict import Verdict, read_reviews
from ..io.image_reading import read_volume
from ..io.volume import Volume
from ..labels.dicom_references import check_same_patient_space
from ..labels.segmentation import Segmentation
from ..labels.segmentation_files import read_segmentation
from ..labels.structures import Structure
from ..stepwise import run_to_end
from .image_serialization import (
    array_steps,
    geometry_to_json,
    segmentation_from_json,
    segmentation_steps,
    volume_from_json,
)


def cases_to_json(folder: str, results: str) -> dict[str, Any]:
    """List the cases of a folder, with their reviews from reviews.csv in the folder of results, or else in the folder itself.

    Raises InputError as `list_cases` and `read_reviews` do.
    """
    found = list_cases(folder, results or None)
    reviews = read_reviews(Path(results or folder) / REVIEWS)
    return {
        "cases": [{key: value and str(value) for key, value in vars(case).items()} for case in found.cases],
        "structures": found.structures and [structure.to_json() for structure in found.structures],
        "notes": list(found.notes),
        "checkpoint": found.checkpoint,
        "sha256": found.sha256,
        "reviews": {case: asdict(verdict) for case, verdict in reviews.items()},
    }


def cases_from_json(plain: dict[str, Any]) -> tuple[CaseList, dict[str, Verdict]]:
    """The cases and their reviews, by name of the case, from what `cases_to_json` returned."""
    cases = []
    for one in plain["cases"]:
        paths = {key: Path(one[key]) if one[key] else None for key in ("image", "reference", "prediction")}
        cases.append(ReviewCase(one["name"], **paths))  # type: ignore[arg-type]
    structures = plain["structures"] and tuple(Structure.from_json(one) for one in plain["structures"])
    reviews = {case: Verdict(**verdict) for case, verdict in plain["reviews"].items()}
    return CaseList(tuple(cases), structures, tuple(plain["notes"]), plain["checkpoint"], plain["sha256"]), reviews


def case_to_files(request: dict[str, Any]) -> dict[str, Any]:
    """Read the files of one case and write scan and labels into the folder `into` as raw files; raises InputError."""
    into = Path(request["into"])
    volume = read_volume(request["image"])
    image = run_to_end(array_steps(volume.array, into / "scan.raw", volume.array.dtype.newbyteorder("<")))
    answer: dict[str, Any] = {"scan": {**image, "geometry": geometry_to_json(volume.geometry)}}
    structures = request["structures"] and tuple(Structure.from_json(one) for one in request["structures"])
    for side in ("reference", "prediction"):
        path = request[side]
        if not path:
            answer[side] = path
            continue
        segmentation = read_segmentation(path, structures, grid=volume.geometry)
        check_same_patient_space(segmentation, volume)
        answer[side] = run_to_end(segmentation_steps(segmentation, into, side))
    return answer


def case_from_files(answer: dict[str, Any]) -> tuple[Volume, Segmentation | None, Segmentation | None]:
    """Scan, reference and prediction that `case_to_files` wrote; their arrays are mapped from the files."""
    sides = (segmentation_from_json(answer[side]) if answer[side] else None for side in ("reference", "prediction"))
    return (volume_from_json(answer["scan"]), *sides)  # type: ignore[return-value]
