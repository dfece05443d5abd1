"""A plain folder of pairs: structures.json says what the values mean, file or folder names what is image and label.

    {"structures": {"liver": 1, "left kidney": [2, 7]},
     "name": "...", "licence": "...", "citation": "...",      (these and the following may be left out)
     "image": "*_ct.nii.gz", "label": "*_liver.nii.gz",       (where * is the name of the case)
     "patient": "^(p[0-9]+)"}                                 (regular expression: whose scan a case is)

Without "image" and "label", an image is called NAME_image (or _img, _ct, _scan, _volume, or just NAME) or lies in a folder
`images`, a label NAME_label (or _labels, _seg, _segmentation, _mask, _gt) or in a folder `labels`; one folder per case
with image.nii.gz and label.nii.gz is read as well.

An image may also be the folder of a DICOM series (images/NAME, NAME/ct, NAME), a label a DICOM segmentation or structure set
(labels/NAME.dcm, NAME/seg.dcm). Where their names don't tell the case, the series that the labels name does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.file_names import cases_by_name
from UNetSegmenterLib.engine.labels.dicom_references import paired_by_series
from UNetSegmenterLib.engine.plain_data import closest_name

from ..dataset import Case, Dataset, ProblemCollector, unique_cases
from .description import entry, make_structures, read_description, refuse_unknown, text_entry

LAYOUT = "plain pairs"
DESCRIPTION = "structures.json"
_KEYS = ("structures", "name", "licence", "citation", "image", "label", "patient")


def read_pairs(folder: Path, files: list[Path], problems: ProblemCollector, dicom: Mapping[Path, str]) -> Dataset:
    """Cases of a folder with structures.json.

    Args:
        folder: folder of the data set.
        files: its image files.
        problems: collects the incomplete cases.
        dicom: folders of DICOM series ("image") and DICOM files of labels ("label").

    Raises:
        InputError: an image has no label or a label no image, or an entry of structures.json is invalid.
    """
    path = folder / DESCRIPTION
    description = read_description(path)
    refuse_unknown(description, _KEYS, path)
    structures = make_structures(entry(description, "structures", path, dict, "an object of names and values"), path)
    if ("image" in description) != ("label" in description):
        raise InputError(f'{path} has one of "image" and "label"; give both patterns or neither.')
    files = sorted([*files, *dicom])
    roles = _by_pattern(folder, description, files) if "image" in description else cases_by_name(folder, files)
    images: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    for name, name_role, file in roles:
        role = dicom.get(file, name_role)
        into = images if role == "image" else labels
        if name in into:
            problems.add(f"{into[name]} and {file} are both the {role} of {name}; rename or remove one.")
            continue
        into[name] = file
    labels = paired_by_series(images, labels)
    problems.add(*_unpaired(images, labels))
    if not images and not problems.found:
        raise InputError(f"{folder} holds no image files; NAME_image.nii.gz and NAME_label.nii.gz are expected.")
    patients = _patients(list(images), description.get("patient"), path)
    cases = [Case(name, images[name], labels[name], patients.get(name, "")) for name in images if name in labels]
    return Dataset(
        text_entry(description, ("name",), path, folder.name),
        LAYOUT,
        structures,
        unique_cases(folder, cases, problems),
        text_entry(description, ("licence",), path),
        text_entry(description, ("citation",), path),
        problems=tuple(problems.found),
    )


def _by_pattern(folder: Path, description: dict, files: list[Path]) -> Iterator[tuple[str, str, Path]]:
    for role in ("image", "label"):
        pattern = description[role]
        if not isinstance(pattern, str) or pattern.count("*") != 1:
            raise InputError(
                f'{folder / DESCRIPTION} has "{role}": {pattern!r}; a file name with one * for the case is expected.'
            )
        before, after = pattern.split("*")
        matching = re.compile(re.escape(before) + r"(?P<case>.+)" + re.escape(after))
        for file in files:
            if match := matching.fullmatch(file.relative_to(folder).as_posix()):
                yield match["case"], role, file


def _unpaired(images: dict[str, Path], labels: dict[str, Path]) -> Iterator[str]:
    """One message for each image without a label, and each label without an image."""
    for own, others, role, missing in ((images, labels, "image", "label"), (labels, images, "label", "image")):
        for name in sorted(set(own) - set(others)):
            near = closest_name(name, sorted(set(others) - set(own)), cutoff=0.8)
            hint = f"{others[near].name} looks like it: rename it" if near else f"add it or remove the {role}"
            yield f'{own[name]} (case "{name}") has no {missing}; {hint}.'


def _patients(names: list[str], pattern: str | None, path: Path) -> dict[str, str]:
    if pattern is None:
        return {}
    try:
        expression = re.compile(pattern)
    except (re.error, TypeError) as error:
        raise InputError(f'{path} has a "patient" that is no regular expression ({error}); correct it.') from error
    patients = {}
    for name in names:
        match = expression.search(name)
        if match is None or not expression.groups:
            raise InputError(f'{path} has "patient": "{pattern}", which finds no (group) in the case "{name}".')
        patients[name] = match[1]
    return patients
