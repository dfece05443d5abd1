"""Data sets on disk: which scans there are, where their labels lie and what the label values mean."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.structures import Structure, known_structure


@dataclass(frozen=True)
class Case:
    """One scan with its label map; `name` is what tables and splits call it."""

    name: str
    image: Path
    label: Path


@dataclass(frozen=True)
class DataSet:
    """Cases and structures of a folder, and in which layout they were found."""

    name: str
    layout: str
    structures: tuple[Structure, ...]
    cases: tuple[Case, ...]
    licence: str = ""
    citation: str = ""


def read_dataset(folder: Path | str) -> DataSet:
    """Find out the layout of a data set folder and list its cases.

    Raises InputError, naming what was expected, for a folder in no known layout or with incomplete cases.
    """
    folder = Path(folder)
    if (folder / "dataset.json").is_file():
        return _read_nnunet_raw(folder)
    raise InputError(
        f"{folder} is in no known layout; a dataset.json with imagesTr/ and labelsTr/ (nnU-Net v2 raw) is expected."
    )


def _read_nnunet_raw(folder: Path) -> DataSet:
    """nnU-Net v2 raw layout: imagesTr/NAME_0000.nii.gz, labelsTr/NAME.nii.gz, dataset.json with "labels" and "file_ending"."""
    try:
        description = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        labels = description["labels"]
        ending = description["file_ending"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder / 'dataset.json'} can't be used ({error}); nnU-Net v2's labels and file_ending are expected."
        ) from error
    names = {int(value): name for name, value in labels.items() if name != "background" and not isinstance(value, list)}
    structures = tuple(known_structure(names[value], i, (value,)) for i, value in enumerate(sorted(names), start=1))
    cases = []
    for image in sorted((folder / "imagesTr").glob(f"*_0000{ending}")):
        name = image.name.removesuffix(f"_0000{ending}")
        label = folder / "labelsTr" / f"{name}{ending}"
        if not label.is_file():
            raise InputError(f"{image} has no label {label}; add the label or take the image out.")
        cases.append(Case(name, image, label))
    if not cases:
        raise InputError(f"{folder} holds no imagesTr/*_0000{ending}; copy the images there or correct file_ending.")
    return DataSet(
        description.get("name", folder.name),
        "nnU-Net v2 raw",
        structures,
        tuple(cases),
        description.get("licence", description.get("license", "")),
        description.get("citation", description.get("reference", "")),
    )
