"""Medical Segmentation Decathlon: dataset.json lists the training pairs, "labels" maps values to names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.file_names import file_stem

from ..dataset import Case, Dataset, ProblemCollector, first_few, ignoring, unique_cases
from .description import entry, make_structures, single_channel, text_entry, values_by_name, without_ignore

LAYOUT = "Medical Segmentation Decathlon"
V1_LAYOUT = "nnU-Net v1 raw"


def read_decathlon(folder: Path, description: dict[str, Any], problems: ProblemCollector) -> Dataset:
    """Cases of the "training" list (Antonelli et al., Nature Communications 13, 2022).

    nnU-Net v1 has the same list, with files NAME_0000 for the NAME in it.

    Raises:
        InputError: a listed file is missing, or there is more than one modality.
    """
    path = folder / "dataset.json"
    labels = entry(description, "labels", path, dict, "an object of values and names")
    values, notes = values_by_name(labels, path, by_value=True)
    values, ignore_value, ignore_notes = without_ignore(values, path)
    notes += ignore_notes
    structures = make_structures(values, path)
    modality = single_channel(description, ("modality",), path)
    if modality.upper() != "CT":
        notes.append(f"the modality is {modality}, not CT")
    cases, version_1 = _listed_cases(
        folder, path, entry(description, "training", path, list, "a list of image and label files"), problems
    )
    if not cases and not problems.found:
        raise InputError(f"{path} lists no training pairs; fill the list in.")
    if version_1:
        notes.append("as in nnU-Net v1, the list names NAME and the files are called NAME_0000")
    listed = {case.image.name for case in cases}
    there = [file.name for file in (folder / "imagesTr").glob("*.nii*") if not file.name.startswith(".")]
    if unlisted := sorted(set(there) - listed):
        notes.append(
            f"left out, as the list has them not: {counted(len(unlisted), 'file')} of imagesTr ({first_few(unlisted)})"
        )
    if isinstance(test := description.get("test"), list) and test:
        notes.append(f"left out, as they have no labels: {counted(len(test), 'test image')}")
    return Dataset(
        text_entry(description, ("name",), path, folder.name),
        V1_LAYOUT if version_1 else LAYOUT,
        structures,
        ignoring(unique_cases(folder, cases, problems), ignore_value),
        text_entry(description, ("licence", "license"), path),
        text_entry(description, ("reference",), path),
        notes=tuple(notes),
        problems=tuple(problems.found),
    )


def _listed_cases(folder: Path, path: Path, pairs: list[Any], problems: ProblemCollector) -> tuple[list[Case], bool]:
    """The cases of the "training" list, and whether files are called NAME_0000 for a NAME in it, as in nnU-Net v1."""
    cases = []
    version_1 = False
    for number, pair in enumerate(pairs):
        if not isinstance(pair, dict) or not {"image", "label"} <= set(pair):
            raise InputError(f'{path} has the training entry {number + 1} without "image" and "label": {pair}.')
        image, label = (folder / str(pair[role]).replace("\\", "/") for role in ("image", "label"))
        if not image.is_file() and (channel := _with_channel(image)).is_file():
            image, version_1 = channel, True
        if missing := [(role, file) for role, file in (("image", image), ("label", label)) if not file.is_file()]:
            problems.add(
                *(
                    f"{path} lists the {role} {file}, which does not exist; copy it or remove the entry."
                    for role, file in missing
                )
            )
            continue
        cases.append(Case(_case_name(image, label), image, label))
    return cases, version_1


def _with_channel(image: Path) -> Path:
    """The file name that nnU-Net v1 has for the first channel of an image of its list."""
    stem = file_stem(image)
    return image.with_name(f"{stem}_0000{image.name[len(stem) :]}")


def _case_name(image: Path, label: Path) -> str:
    """The image's name, without the channel where the label has none."""
    stem = file_stem(image)
    return stem.removesuffix("_0000") if file_stem(label) == stem.removesuffix("_0000") else stem
