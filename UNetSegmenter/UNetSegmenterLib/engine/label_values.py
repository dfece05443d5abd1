"""What the values of a label map mean: which file is a label map at all, and which structure each value is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .errors import InputError
from .structures import Structure, canonical_name, known_names, known_structure

IMAGE_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_RARE_ENDINGS = (".hdr.gz", ".img.gz", ".hdr", ".img", ".dcm")  # read where a file is named, not looked for in folders
MOST_STRUCTURES = 255


def file_stem(path: Path | str) -> str:
    """File name without folder and image ending ("case1.seg.nrrd" -> "case1")."""
    name = Path(path).name
    for ending in (".seg.nrrd", *IMAGE_ENDINGS, *_RARE_ENDINGS):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def as_labels(array: np.ndarray, path: Path) -> np.ndarray:
    """The array as whole numbers, or InputError if it is a scan rather than a label map."""
    lowest, highest = float(array.min(initial=0)), float(array.max(initial=0))
    if not (np.isfinite(lowest) and lowest >= 0 and highest <= 65535):
        raise InputError(
            f"{path} is not a label map: its values run from {lowest:g} to {highest:g}, where whole numbers from 0 to "
            "65535 are expected; choose the segmentation, not the scan."
        )
    if array.dtype.kind in "ui":
        return array if array.dtype.itemsize <= 2 and array.dtype.kind == "u" else array.astype(np.uint16)
    whole = array.astype(np.uint16)
    if not np.array_equal(whole, array):
        raise InputError(
            f"{path} is not a label map: it holds fractions such as {array[whole != array].flat[0]:g}; if it was "
            "resampled, do so with nearest neighbour."
        )
    return whole


def undeclared_structures(path: Path, found: Mapping[int, int]) -> list[Structure]:
    """A structure for each value found, where nobody says what the values mean.

    A single value is the structure that the file is named after, if there is one. Raises InputError above 255 values.
    """
    if len(found) > MOST_STRUCTURES:
        raise InputError(
            f"{path} is not a label map: it holds {len(found)} different values, at most {MOST_STRUCTURES} are "
            "expected; choose the segmentation, not the scan."
        )
    if len(found) == 1 and (name := _name_in(file_stem(path))):
        return [known_structure(name, 1, tuple(found))]
    return [known_structure(f"label {value}", index, (value,)) for index, value in enumerate(sorted(found), start=1)]


def _name_in(stem: str) -> str | None:
    """The one known structure a file name speaks of ("chaos_liver" -> "liver"), None if there is none or several."""
    words = re.split(r"[\W_]+", stem)
    for length in range(len(words), 0, -1):
        parts = [" ".join(words[start : start + length]) for start in range(len(words) - length + 1)]
        names = {canonical_name(part) for part in parts if len(part) > 3} & set(known_names())
        if names:
            return names.pop() if len(names) == 1 else None
    return None


def to_indices(labels: np.ndarray, found: Mapping[int, int], structures: Sequence[Structure], path: Path) -> np.ndarray:
    """Source values to structure indices by one look-up table; uint8.

    `found` are the values with their voxel counts. Raises InputError for values that no structure declares.
    """
    table = np.zeros(65536, dtype=np.uint8)
    declared = {value: structure.index for structure in structures for value in structure.values}
    strangers = {value: count for value, count in found.items() if value not in declared}
    if strangers:
        listed = ", ".join(
            f"{value} ({count} voxel{'s' * (count != 1)})" for value, count in list(strangers.items())[:8]
        )
        more = f" and {len(strangers) - 8} more" if len(strangers) > 8 else ""
        raise InputError(
            f"{path} holds label values that nobody declares: {listed}{more}; declared are "
            f"{', '.join(map(str, sorted(declared)))}: declare them or remove them."
        )
    for value, index in declared.items():
        table[value] = index
    return table[labels]
