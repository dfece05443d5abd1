"""What the values of a label map mean: which file is a label map at all, and which structure each value is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .structures import Structure, canonical_name, known_names, known_structure

MOST_STRUCTURES = 255
ROUNDED = 1e-3
"""A label that lies this close to a whole number is meant to be it: a scale factor or a float took the rest."""


def as_labels(array: np.ndarray, what: Path | str) -> np.ndarray:
    """The array as whole numbers from 0 to 65535, rounded where it is off by at most `ROUNDED`.

    Raises InputError, with the true number, for a scan or for fractions; `what` names the array there.
    """
    lowest, highest = array.min(initial=0), array.max(initial=0)
    if not (np.isfinite(lowest) and lowest >= -ROUNDED and highest <= 65535 + ROUNDED):
        raise InputError(
            f"{what} is not a label map: its values run from {_true(lowest)} to {_true(highest)}, where whole numbers from "
            "0 to 65535 are expected; choose the segmentation, not the scan."
        )
    if array.dtype.kind in "ui":
        return array if array.dtype.itemsize <= 2 and array.dtype.kind == "u" else array.astype(np.uint16)
    whole = array.astype(np.uint16)
    if np.array_equal(whole, array):
        return whole
    rounded = np.rint(array)
    off = np.abs(array - rounded) > ROUNDED
    if off.any():
        raise InputError(
            f"{what} is not a label map: it holds fractions such as {_true(array[off].flat[0])}; if it was resampled, do so "
            "with nearest neighbour."
        )
    return rounded.astype(np.uint16)


def _true(value: Any) -> str:
    """A number with all digits that tell it from its neighbours, whole ones without a point."""
    return np.format_float_positional(value + 0, trim="-") if value.dtype.kind == "f" else str(value)


def undeclared_structures(what: Path | str, found: Mapping[int, int], stem: str) -> list[Structure]:
    """A structure for each value found, where nobody says what the values mean; `what` names the array in errors.

    A single value is the structure that `stem`, the name of the file, speaks of, if there is one. Raises InputError above
    255 values.
    """
    if len(found) > MOST_STRUCTURES:
        raise InputError(
            f"{what} is not a label map: it holds {len(found)} different values, at most {MOST_STRUCTURES} are "
            "expected; choose the segmentation, not the scan."
        )
    if len(found) == 1 and (name := _name_in(stem)):
        return [known_structure(name, 1, tuple(found))]
    return [known_structure(f"label {value}", index, (value,)) for index, value in enumerate(sorted(found), start=1)]


_PARTS_OF = {
    "tumor", "tumors", "tumour", "tumours", "lesion", "lesions", "cancer", "cyst", "cysts", "metastasis", "metastases",
    "nodule", "nodules", "mass", "vessel", "vessels", "wall", "edema", "hematoma", "stone", "stones",
}  # fmt: skip
"""Words that make another thing of the organ beside them: "liver_tumor" is not the liver."""


def _name_in(stem: str) -> str | None:
    """The one known structure a file name speaks of ("chaos_liver" -> "liver"), None if there is none or several.

    Something in or of that structure keeps the word that says so ("liver_tumor" -> "liver tumor").
    """
    words = re.split(r"[\W_]+", stem)
    for length in range(len(words), 0, -1):
        parts = [" ".join(words[start : start + length]) for start in range(len(words) - length + 1)]
        names = {canonical_name(part) for part in parts if len(part) > 3} & set(known_names())
        if names:
            part_of = [word.lower() for word in words if word.lower() in _PARTS_OF]
            return " ".join([names.pop(), *part_of]) if len(names) == 1 else None
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
