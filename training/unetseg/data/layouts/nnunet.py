"""nnU-Net v2 raw: imagesTr/NAME_0000.nii.gz, labelsTr/NAME.nii.gz, dataset.json with "labels" and "file_ending"."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.labels.structures import Structure

from ..dataset import Case, Dataset, ProblemCollector, first_few, ignoring, unique_cases
from .description import (
    entry,
    make_structures,
    read_description,
    single_channel,
    text_entry,
    values_by_name,
    without_ignore,
)

LAYOUT = "nnU-Net v2 raw"


def read_nnunet(folder: Path, description: dict[str, Any], problems: ProblemCollector) -> Dataset:
    """Cases of imagesTr, and as locked test those of imagesTs that have a label in labelsTs.

    Raises:
        InputError: there is a second channel, a region of several values (a voxel has one structure here), an image without
            a label or a label without an image.
    """
    path = folder / "dataset.json"
    ending = entry(description, "file_ending", path, str, 'the ending of the image files, such as ".nii.gz"')
    ending_notes = []
    if not re.fullmatch(r"[\w.]*", ending):
        raise InputError(f'{path} has "file_ending": {json.dumps(ending)[:60]}; one such as ".nii.gz" is expected.')
    if ending and not ending.startswith("."):
        ending_notes = [f'file_ending "{ending}" lacks its dot; ".{ending}" was read']
        ending = f".{ending}"
    structures, ignore_value, label_notes = _read_labels(description, path)
    channel = single_channel(description, ("channel_names", "modality"), path)
    notes = [*ending_notes, *label_notes]
    if channel.upper() != "CT":
        notes.append(f"the channel is called {channel}, not CT")
    training = _pairs(folder, "imagesTr", "labelsTr", ending, problems)
    if not training and not problems.found:
        raise InputError(
            f"{folder} holds no imagesTr/*_0000{ending}; copy the images there or correct file_ending in dataset.json."
        )
    test = []
    if (folder / "labelsTs").is_dir():
        test = _pairs(folder, "imagesTs", "labelsTs", ending, problems)
    elif images := _files(folder / "imagesTs", ending):
        notes.append(f"left out, as they have no labelsTs: {counted(len(images), 'image')} of imagesTs")
    if "numTraining" in description and description["numTraining"] != len(training):
        notes.append(f"dataset.json counts {description['numTraining']} training cases, {len(training)} are there")
    return Dataset(
        text_entry(description, ("name",), path, folder.name),
        LAYOUT,
        structures,
        ignoring(unique_cases(folder, [*training, *test], problems), ignore_value),
        text_entry(description, ("licence", "license"), path),
        text_entry(description, ("citation", "reference"), path),
        tuple(case.name for case in test),
        tuple(notes),
        problems=tuple(problems.found),
    )


def read_nnunet_structures(path: Path) -> tuple[Structure, ...]:
    """What the label values of a data set mean, from its dataset.json alone; raises InputError for one without labels."""
    return _read_labels(read_description(path), path)[0]


def _read_labels(description: dict[str, Any], path: Path) -> tuple[tuple[Structure, ...], int | None, list[str]]:
    """The structures, the value of voxels that are ignored, and notes on how they were read."""
    found = entry(description, "labels", path, dict, "an object of names and values")
    labels, label_notes = values_by_name(found, path, by_value=False)
    labels, ignore_value, ignore_notes = without_ignore(labels, path)
    return _structures(labels, path), ignore_value, [*label_notes, *ignore_notes]


def _structures(labels: dict[str, Any], path: Path) -> tuple[Structure, ...]:
    regions = [name for name, value in labels.items() if isinstance(value, list)]
    if regions:
        raise InputError(
            f"{path} defines regions of several values ({first_few(regions)}); give each value a name of its own, "
            "because a voxel has one structure here."
        )
    return make_structures(labels, path)


def _pairs(folder: Path, images: str, labels: str, ending: str, problems: ProblemCollector) -> list[Case]:
    image_files, label_files = _files(folder / images, ending), _files(folder / labels, ending)
    names = {}
    for file in image_files:
        stem = file.name.removesuffix(ending)
        name, _, channel = stem.rpartition("_")
        if not name or not (channel.isdigit() and len(channel) == 4):
            problems.add(f"{file} lacks the channel that nnU-Net writes; {stem}_0000{ending} is expected.")
            continue
        if channel != "0000":
            problems.add(f"{file} is a second channel of {name}; one, CT, is read, so remove it.")
            continue
        names[name] = file
    labelled = {file.name.removesuffix(ending): file for file in label_files}
    problems.add(
        *(
            f"{names[name]} has no label {folder / labels / (name + ending)}; add the label or remove the image."
            for name in sorted(set(names) - set(labelled))
        )
    )
    problems.add(
        *(
            f"{labelled[name]} has no image {folder / images / f'{name}_0000{ending}'}; add the image or remove the label."
            for name in sorted(set(labelled) - set(names))
        )
    )
    return [Case(name, names[name], labelled[name]) for name in sorted(set(names) & set(labelled))]


def _files(folder: Path, ending: str) -> list[Path]:
    """Files of a folder by their ending; unlike glob, iterdir says where a folder must not be read."""
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(file for file in files if file.name.endswith(ending) and not file.name.startswith("."))
