"""Detection of the layout that a folder is in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.dicom_folders import dicom_entries
from UNetSegmenterLib.engine.io.file_names import IMAGE_ENDINGS
from UNetSegmenterLib.engine.labels.ignored import ignored_structure
from UNetSegmenterLib.engine.labels.structures import HEART, Structure

from ..dataset import Dataset, ProblemCollector, first_few
from . import decathlon, mmwhs, nnunet, pairs
from .description import read_description

LAYOUTS = (mmwhs.LAYOUT, nnunet.LAYOUT, decathlon.LAYOUT, pairs.LAYOUT)
_EXPECTED = (
    "expected are MM-WHS (ct_train_1001_image.nii.gz with _label.nii.gz), nnU-Net v2 raw or Medical Segmentation "
    f"Decathlon (dataset.json), or pairs with a {pairs.DESCRIPTION}; docs/datasets.md shows each"
)


def read_dataset(folder: Path | str, collect_problems: bool = False) -> Dataset:
    """Detect the layout of a data set folder and list its cases.

    Args:
        folder: folder of the data set.
        collect_problems: leave incomplete cases out and list them in the data set's `problems`, instead of raising.

    Raises:
        InputError: the folder is in no known layout, or has incomplete cases.
    """
    problems = ProblemCollector(collect_problems)
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {what}; a data set is a folder: {_EXPECTED}.")
    if (folder / "dataset.json").is_file():
        return _of_description(folder, problems)
    files = sorted(_images(folder))
    if (folder / pairs.DESCRIPTION).is_file():
        return pairs.read_pairs(folder, files, problems, _dicom(folder))
    if mmwhs.is_mmwhs(file.name for file in files):
        return mmwhs.read_mmwhs(folder, files, problems)
    raise InputError(f"{folder} is in no known layout: {_found(folder, files)}; {_EXPECTED}.")


def holds_images(folder: Path) -> bool:
    """Whether a folder may be a data set rather than a DICOM series: it has image files or a description."""
    described = any((folder / name).is_file() for name in ("dataset.json", pairs.DESCRIPTION))
    return described or next(_images(folder), None) is not None


def declared_structures(label: Path) -> tuple[Structure, ...] | None:
    """What the values of a label file mean, if the file is part of a data set that defines them; else None."""
    if mmwhs.is_mmwhs([label.name]):
        return HEART
    for folder in list(label.resolve().parents)[:3]:
        if any((folder / name).is_file() for name in ("dataset.json", pairs.DESCRIPTION)):
            dataset = read_dataset(folder)
            labels = {case.label.resolve() for case in dataset.cases}
            if label.resolve() not in labels:
                return None
            value = dataset.cases[0].ignore_value
            return dataset.structures if value is None else (*dataset.structures, ignored_structure(value))
    return None


def _below(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """All folders; one that must not be read ends this with an OSError, else its patients would be left out silently."""

    def refuse(error: OSError) -> None:
        raise error

    return os.walk(folder, onerror=refuse)


def _images(folder: Path) -> Iterator[Path]:
    """Image files by their names; a link to nothing is one of them, which is refused when it is read."""
    for parent, _, names in _below(folder):
        for name in names:
            if name.lower().endswith(IMAGE_ENDINGS) and not name.startswith("."):
                yield Path(parent, name)


def _dicom(folder: Path) -> dict[Path, str]:
    """Role of each folder of a DICOM series and each DICOM file of labels."""
    found: dict[Path, str] = {}
    for parent, folders, names in _below(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found |= dicom_entries(Path(parent), names)
    return found


def _of_description(folder: Path, problems: ProblemCollector) -> Dataset:
    """nnU-Net v2 gives `file_ending` and names with values, the Decathlon a `training` list and values with names."""
    description = read_description(folder / "dataset.json")
    labels = description.get("labels")
    by_value = isinstance(labels, dict) and labels and all(str(key).isdigit() for key in labels)
    if "file_ending" not in description and ("training" in description or by_value):
        return decathlon.read_decathlon(folder, description, problems)
    return nnunet.read_nnunet(folder, description, problems)


def _found(folder: Path, files: list[Path]) -> str:
    below = sorted(file.parent for name in ("dataset.json", pairs.DESCRIPTION) for file in folder.glob(f"*/{name}"))
    if below:
        return f"did you mean {first_few(map(str, below), 2)}, which holds a data set"
    if files:
        plural = "s" * (len(files) != 1)
        return f"it holds {len(files)} image file{plural} ({first_few(file.name for file in files)}) that nothing describes"
    entries = sorted(entry.name for entry in folder.iterdir())
    return f"it holds no image files, only {first_few(entries)}" if entries else "it is empty"
