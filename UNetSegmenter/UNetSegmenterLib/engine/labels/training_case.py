"""Adds a scan and its corrected labels to a data set folder in nnU-Net's raw layout, as one more training case.

`imagesTr/NAME_0000.nii.gz`, `labelsTr/NAME.nii.gz` and `dataset.json`: what `unetseg prepare`, `unetseg train --start-from` and
nnU-Net read. An existing data set keeps its label values; a new one gets them from the structures' order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..io.atomic_files import locked, write_text
from ..io.file_names import WRITABLE_ENDINGS
from ..io.image_writing import write_image, write_volume
from ..io.volume import Volume
from .segmentation import Segmentation
from .structures import canonical_name

ENDING = ".nii.gz"
ORIGINS = "training_cases"  # key of dataset.json for the origin of each case that was added here; nnU-Net ignores it
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MAX_NAME_CHARACTERS = 100


@dataclass(frozen=True)
class SavedCase:
    """The files that were written, the number of cases in the data set now, and notes for the user."""

    image: Path
    labels: Path
    cases: int
    notes: tuple[str, ...] = ()


def case_name(text: str) -> str:
    """A name for files from any text: letters, digits, point, hyphen and underscore; "case" if none is left."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._-")[:_MAX_NAME_CHARACTERS] or "case"


def invalid_name_reason(name: str) -> str:
    """Why a case can't have this name, in one sentence; empty if it can."""
    if len(name) <= _MAX_NAME_CHARACTERS and _NAME.fullmatch(name):
        return ""
    return (
        f'"{name}" can\'t name a case; use letters, digits, point, hyphen and underscore, such as "{case_name(name)}".'
    )


def case_exists(folder: Path | str, name: str) -> bool:
    """Whether a data set folder already holds files of a case of this name, in any image format."""
    images, labels = Path(folder) / "imagesTr", Path(folder) / "labelsTr"
    paths = (
        path for ending in WRITABLE_ENDINGS for path in (images / f"{name}_0000{ending}", labels / f"{name}{ending}")
    )
    return any(path.exists() for path in paths)


def write_training_case(
    folder: Path | str,
    name: str,
    volume: Volume,
    segmentation: Segmentation,
    origin: Mapping[str, str] | None = None,
    replace: bool = False,
) -> SavedCase:
    """Add one case to a data set folder, which is made if it is missing.

    The structures have to be those of the data set's dataset.json, by name: a structure that it doesn't list has no value there,
    and one that is missing here would be trained as background.

    Args:
        folder: the data set.
        name: name of the case.
        volume: the scan.
        segmentation: its structures, on the grid of `volume`.
        origin: where the case comes from (scan, prediction, who corrected it and when).
        replace: replace a case of the same name, which is refused otherwise.

    Raises:
        InputError: the case can't be added, for the reason in the message; the data set is unchanged.
    """
    if reason := invalid_name_reason(name):
        raise InputError(reason)
    if volume.geometry.shape != segmentation.geometry.shape or not volume.geometry.is_close(segmentation.geometry):
        raise InputError(
            f"The labels of {name} lie on another grid than its scan; resample them to the scan's grid first."
        )
    folder = Path(folder)
    with locked(folder / ".dataset.json.lock"):
        description = _description(folder, segmentation)
        ending = description["file_ending"]
        if case_exists(folder, name) and not replace:
            raise InputError(f'{folder} holds a case "{name}" already; choose another name, or replace it.')
        table = _values(description["labels"], segmentation, folder)
        image, labels = folder / "imagesTr" / f"{name}_0000{ending}", folder / "labelsTr" / f"{name}{ending}"
        _write_pair(volume, table[segmentation.labels], image, labels)
        cases = sum(not file.name.startswith(".") for file in labels.parent.glob(f"*{ending}"))
        description["numTraining"] = cases
        description.setdefault(ORIGINS, {})[name] = dict(origin or {})
        write_text(folder / "dataset.json", json.dumps(description, indent=1, ensure_ascii=False) + "\n")
    return SavedCase(image, labels, cases, _notes(segmentation, cases))


def _write_pair(volume: Volume, values: np.ndarray, image: Path, labels: Path) -> None:
    """Write both files or, if one can't be written, neither: the old files stay, so that scan and labels fit together."""
    new_image, new_labels, old_image = (
        path.with_name(f".{prefix}-{path.name}") for prefix, path in (("new", image), ("new", labels), ("old", image))
    )
    is_new = False
    try:
        write_volume(volume, new_image)
        write_image(values, volume.geometry, new_labels)
        if image.exists():
            image.replace(old_image)
        new_image.replace(image)
        is_new = True
        new_labels.replace(labels)
    except OSError as error:
        raise InputError(f"{labels} could not be written ({error.strerror}); choose another name or folder.") from error
    finally:
        if is_new and new_labels.exists():
            image.unlink()
        if old_image.exists() and not image.exists():
            old_image.replace(image)
        for path in (new_image, new_labels, old_image):
            with suppress(OSError):
                path.unlink()


def _description(folder: Path, segmentation: Segmentation) -> dict[str, Any]:
    """The content of dataset.json, checked, or that of a new one."""
    path = folder / "dataset.json"
    if not path.exists():
        if any((folder / part).is_dir() and any((folder / part).iterdir()) for part in ("imagesTr", "labelsTr")):
            raise InputError(f"{folder} holds images but no dataset.json; add it, or choose another folder.")
        ordered = sorted(segmentation.structures, key=lambda structure: structure.index)
        values = {structure.name: value for value, structure in enumerate(ordered, start=1)}
        return {
            "name": folder.name,
            "channel_names": {"0": "CT"},
            "labels": {"background": 0, **values},
            "numTraining": 0,
            "file_ending": ENDING,
        }
    try:
        description = json.loads(path.read_text(encoding="utf-8-sig"))
        labels, ending, channels = (description[key] for key in ("labels", "file_ending", "channel_names"))
        has_single_values = all(isinstance(value, int) for value in labels.values())
        origins = description.get(ORIGINS, {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f'{path} is no description of an nnU-Net data set ({error}); "labels", "file_ending" and "channel_names" are '
            "expected there. Correct it, or choose another folder."
        ) from error
    if not has_single_values or not isinstance(origins, dict):
        raise InputError(f"{path} gives a structure more than one value; a case is added where each has one.")
    if len(channels) != 1 or str(next(iter(channels.values()))).upper() != "CT":
        raise InputError(
            f"{path} describes the channels {list(channels.values())}; a data set of CT alone is expected."
        )
    if ending not in WRITABLE_ENDINGS:
        raise InputError(f"{path} names the file ending {ending!r}; one of {', '.join(WRITABLE_ENDINGS)} is expected.")
    return description


def _values(labels: Mapping[str, int], segmentation: Segmentation, folder: Path) -> np.ndarray:
    """Look-up table from the segmentation's indices to the data set's values. Raises InputError for other structures."""
    value_of = {canonical_name(name): value for name, value in labels.items() if value}
    index_of = {canonical_name(structure.name): structure.index for structure in segmentation.structures}
    unknown = [
        structure.name for structure in segmentation.structures if canonical_name(structure.name) not in value_of
    ]
    if unknown:
        raise InputError(
            f"{folder / 'dataset.json'} has no value for {_listed(unknown)}; it knows {_listed(value_of)}. Rename or "
            "remove the segment, or choose another folder."
        )
    if missing := [name for name, value in labels.items() if value and canonical_name(name) not in index_of]:
        raise InputError(
            f"{_listed(missing)} of {folder / 'dataset.json'} is no segment here, and would be trained as background; draw "
            "it, or add an empty segment of that name if the scan does not show it."
        )
    if len(index_of) < len(segmentation.structures):
        raise InputError("Two segments have names that mean the same structure; merge them or rename one.")
    table = np.zeros(256, dtype=np.uint8 if max(value_of.values()) <= 255 else np.uint16)
    for name, index in index_of.items():
        table[index] = value_of[name]
    return table


def _notes(segmentation: Segmentation, cases: int) -> tuple[str, ...]:
    notes = []
    if segmentation.overlaps:
        notes.append(f"segments overlap in {segmentation.overlap_ml():.2g} ml, which went to the later of them.")
    if cases == 1:
        notes.append("the data set holds one case; training needs at least two, one of them to validate on.")
    return tuple(notes)


def _listed(names: Any) -> str:
    return ", ".join(f'"{name}"' for name in names)
