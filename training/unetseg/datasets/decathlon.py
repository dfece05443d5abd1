"""Medical Segmentation Decathlon: dataset.json lists the training pairs, "labels" maps values to names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.segmentation import file_stem

from .dataset import Case, DataSet, check_cases, some
from .description import entry, make_structures

LAYOUT = "Medical Segmentation Decathlon"


def read_decathlon(folder: Path, description: dict[str, Any]) -> DataSet:
    """Cases of the "training" list (Antonelli et al., Nature Communications 13, 2022).

    Raises InputError for a listed file that is missing and for more than one modality.
    """
    path = folder / "dataset.json"
    labels = entry(description, "labels", path, dict, "an object of values and names")
    try:
        structures = make_structures({name: int(value) for value, name in labels.items() if int(value)}, path)
    except (ValueError, TypeError) as error:
        raise InputError(f'{path} has labels that are not "value": "name" ({error}); correct them.') from error
    modality = description.get("modality", {"0": "CT"})
    if len(modality) != 1:
        raise InputError(f"{path} names {len(modality)} modalities ({some(modality.values())}); one, CT, is read.")
    notes = [] if next(iter(modality.values())).upper() == "CT" else [f"the modality is {modality}, not CT"]
    cases = []
    for number, pair in enumerate(entry(description, "training", path, list, "a list of image and label files")):
        if not isinstance(pair, dict) or not {"image", "label"} <= set(pair):
            raise InputError(f'{path} has the training entry {number + 1} without "image" and "label": {pair}.')
        image, label = folder / pair["image"], folder / pair["label"]
        for role, file in (("image", image), ("label", label)):
            if not file.is_file():
                raise InputError(f"{path} lists the {role} {file}, which is not there; copy it or take the entry out.")
        cases.append(Case(file_stem(image), image, label))
    if not cases:
        raise InputError(f"{path} lists no training pairs; fill the list in.")
    listed = {case.image.name for case in cases}
    there = [file.name for file in (folder / "imagesTr").glob("*.nii*") if not file.name.startswith(".")]
    if unlisted := sorted(set(there) - listed):
        notes.append(f"{len(unlisted)} files of imagesTr are not in the list and were left out ({some(unlisted)})")
    if test := description.get("test"):
        notes.append(f"{len(test)} test images have no labels and were left out")
    return DataSet(
        description.get("name", folder.name),
        LAYOUT,
        structures,
        check_cases(folder, cases),
        description.get("licence", description.get("license", "")),
        description.get("reference", ""),
        notes=tuple(notes),
    )
