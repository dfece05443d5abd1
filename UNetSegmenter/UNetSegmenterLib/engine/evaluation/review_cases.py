"""The cases of a folder of scans with references, for a review.

The layout is recognised by names alone: imagesTs/labelsTs and imagesTr/labelsTr (nnU-Net, Decathlon), MM-WHS, else pairs of
files (engine/io/file_names.py), which may be folders of DICOM series and DICOM labels. Predictions lie in a folder
`predictions` of the results, as `unetseg evaluate --predictions` leaves them, or beside the scans.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..io.dicom_folders import dicom_entries
from ..io.file_names import IMAGE_ENDINGS, cases_by_name, file_stem
from ..labels.dicom_references import paired_by_series
from ..labels.structures import HEART, Structure, known_structure

REVIEWS, PREDICTIONS = "reviews.csv", "predictions"
MOST_FILES = 20_000
_MMWHS = re.compile(r"(?:^|_)(ct|mr)_(train|test)_\d+$")
_SPLITS = (("imagesTs", "labelsTs"), ("imagesTr", "labelsTr"))


@dataclass(frozen=True)
class ReviewCase:
    """The files of one case; `reference` and `prediction` are None where there are none."""

    name: str
    image: Path
    reference: Path | None = None
    prediction: Path | None = None


@dataclass(frozen=True)
class CaseList:
    """The cases of a review.

    Attributes:
        cases: The cases, in the order of their names.
        structures: What the references' label values mean; None if the folder does not define it.
        notes: Texts about cases that are left out.
        checkpoint: The checkpoint that made the predictions, "" if unknown.
        sha256: Its checksum, "" if unknown.
    """

    cases: tuple[ReviewCase, ...]
    structures: tuple[Structure, ...] | None = None
    notes: tuple[str, ...] = ()
    checkpoint: str = ""
    sha256: str = ""


def list_cases(folder: Path | str, results: Path | str | None = None) -> CaseList:
    """The cases of a folder.

    Args:
        folder: Scans and references.
        results: Folder of predictions; where there are some, cases without a prediction are left out, with a note.

    Raises:
        InputError: For a folder that holds no scans, or two files of one name.
    """
    folder, results = Path(folder), Path(results) if results else None
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; choose the one that holds the scans and their references.")
    cases, notes = _cases(folder, results)
    if not cases:
        raise InputError(_no_cases_text(folder))
    structures = _structures(folder, cases)
    found = {case.name: _prediction(case.name, folder, results) for case in cases}
    if any(found.values()):
        without = sum(prediction is None for prediction in found.values())
        if without:
            notes.append(f"{without} of {len(cases)} cases have no prediction there and are left out.")
        cases = [replace(case, prediction=found[case.name]) for case in cases if found[case.name] is not None]
    return CaseList(tuple(cases), structures, tuple(notes), *_checkpoint(results or folder))


def _cases(folder: Path, results: Path | None) -> tuple[list[ReviewCase], list[str]]:
    if any((folder / images).is_dir() for images, _ in _SPLITS):
        cases = [case for images, labels in _SPLITS for case in _split(folder / images, folder / labels)]
        notes: list[str] = []
    else:
        cases, notes = _pairs(folder, results)
    twice = {case.name for case in cases if sum(other.name == case.name for other in cases) > 1}
    if twice:
        raise InputError(f"{folder} holds two scans of {sorted(twice)[0]}; rename or remove one.")
    unreferenced = sum(case.reference is None for case in cases)
    if unreferenced:
        notes.append(f"{unreferenced} of {len(cases)} cases have no reference: they are checked, not compared.")
    return cases, notes


def _split(images: Path, labels: Path) -> Iterator[ReviewCase]:
    references = {file_stem(file): file for file in _images_in(labels)}
    for file in _images_in(images):
        stem = file_stem(file)
        if re.search(r"_000[1-9]$", stem):
            continue  # a second channel
        name = stem.removesuffix("_0000")
        yield ReviewCase(name, file, references.get(name))


def _pairs(folder: Path, results: Path | None) -> tuple[list[ReviewCase], list[str]]:
    found: dict[str, dict[str, Path]] = {}
    files = _files_below(folder, results)
    for stem, name_role, file in cases_by_name(folder, files):
        role = files[file] or name_role
        match = _MMWHS.search(stem)
        name = stem[match.start(1) :] if match else stem  # without the names of folders
        roles = found.setdefault(name, {})
        if role in roles:
            raise InputError(f"{roles[role]} and {file} are both the {role} of {name}; rename or remove one.")
        roles[role] = file
    images = {name: roles["image"] for name, roles in found.items() if "image" in roles}
    labels = paired_by_series(images, {name: roles["label"] for name, roles in found.items() if "label" in roles})
    pairs = (("image", images), ("label", labels))
    found = {
        name: {role: files_of[name] for role, files_of in pairs if name in files_of} for name in {**images, **labels}
    }
    magnetic = [name for name in found if _MMWHS.match(name) and name.startswith("mr")]
    labelled = any("label" in roles for roles in found.values())
    cases = [
        ReviewCase(name, roles["image"], roles.get("label"))
        for name, roles in sorted(found.items())
        if "image" in roles and name not in magnetic and labelled
    ]
    notes = [f"{len(magnetic)} MR cases are left out: this is a CT network."] if magnetic else []
    without_scan = [name for name, roles in sorted(found.items()) if "image" not in roles]
    if without_scan:
        names = ", ".join(without_scan[:3])
        notes.append(f"{len(without_scan)} references have no scan and are left out ({names}).")
    return cases, notes


def _files_below(folder: Path, results: Path | None) -> dict[Path, str]:
    """Image files and DICOM series below a folder, in order, and their role where their content tells it, else ""."""
    found: dict[Path, str] = {}
    count = 0
    left_out = {PREDICTIONS, "cases", "pictures"}
    for parent, folders, names in os.walk(folder):
        inner = (Path(parent) / name for name in folders)
        folders[:] = sorted(
            one.name for one in inner if one.name not in left_out and one.name[0] != "." and one != results
        )
        count += len(names)
        if count > MOST_FILES:
            raise InputError(f"{folder} holds more than {MOST_FILES} files; choose the folder of the test set itself.")
        images = [name for name in sorted(names) if name.lower().endswith(IMAGE_ENDINGS) and not name.startswith(".")]
        found |= {Path(parent) / name: "" for name in images} | dicom_entries(Path(parent), names)
    return found


def _images_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    files = (file for file in folder.iterdir() if file.name.lower().endswith(IMAGE_ENDINGS))
    return sorted(file for file in files if not file.name.startswith("."))


def _prediction(name: str, folder: Path, results: Path | None) -> Path | None:
    for parent in (results and results / PREDICTIONS, results, folder / PREDICTIONS):
        if parent is None or parent == folder:
            continue
        for ending in (".seg.nrrd", ".nii.gz", ".nii", ".dcm"):
            file = parent / f"{name}{ending}"
            if file.is_file():
                return file
    return None


def _no_cases_text(folder: Path) -> str:
    if any(_images_in(folder / PREDICTIONS)):
        return f"{folder} holds predictions, but no scans; choose it for the results, and the data set's folder for the scans."
    return (
        f"{folder} holds no scans with references; expected are imagesTs and labelsTs, or NAME_image.nii.gz and "
        "NAME_label.nii.gz."
    )


def _checkpoint(results: Path) -> tuple[str, str]:
    facts = _json(results / "summary.json").get("provenance", {})
    if not isinstance(facts, Mapping):
        return "", ""
    return str(facts.get("checkpoint", "")), str(facts.get("checkpoint SHA-256", ""))


# --- what label values mean --------------------------------------------------------------------------------------------


def _structures(folder: Path, cases: Iterable[ReviewCase]) -> tuple[Structure, ...] | None:
    if all(_MMWHS.match(case.name) for case in cases):
        return HEART
    declared = _json(folder / "structures.json").get("structures") or _json(folder / "dataset.json").get("labels")
    return _declared(declared) if isinstance(declared, Mapping) else None


def _declared(declared: Mapping[str, Any]) -> tuple[Structure, ...] | None:
    """From {"liver": 1, "kidneys": [2, 3]} or, as the Decathlon has it, {"1": "liver"}; None if it is neither."""
    structures: list[Structure] = []
    for key, value in declared.items():
        name, values = (
            (str(value), [int(key)]) if key.isdigit() else (key, value if isinstance(value, list) else [value])
        )
        if not all(isinstance(one, int) for one in values):
            return None
        if values != [0]:
            structures.append(known_structure(name, len(structures) + 1, tuple(values)))
    return tuple(structures) or None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
