"""The values of a label map: whether an array is one at all, and which structure each value stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..counting import counted
from ..errors import InputError
from .structures import Structure, canonical_name, known_names, known_structure

MAX_STRUCTURES = 255
LARGEST_VALUE = 65535
ROUNDED = 1e-3
"""A label this close to a whole number stands for it: a scale factor or a float caused the difference."""


def as_labels(array: np.ndarray, what: Path | str) -> np.ndarray:
    """The array as whole numbers from 0 to 65535; differences of at most `ROUNDED` are rounded.

    Raises InputError for a scan or for fractions, with the number that was found; `what` names the array in the message.
    """
    lowest, highest = array.min(initial=0), array.max(initial=0)
    if not (np.isfinite(lowest) and lowest >= -ROUNDED and highest <= 65535 + ROUNDED):
        raise InputError(
            f"{what} is not a label map: its values run from {_digits(lowest)} to {_digits(highest)}, where whole numbers from "
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
            f"{what} is not a label map: it holds fractions such as {_digits(array[off].flat[0])}; if it was resampled, do so "
            "with nearest neighbour."
        )
    return rounded.astype(np.uint16)


def _digits(value: Any) -> str:
    """A number with all digits that distinguish it from its neighbours, whole numbers without a point."""
    return np.format_float_positional(value + 0, trim="-") if value.dtype.kind == "f" else str(value)


def undeclared_structures(what: Path | str, found: Mapping[int, int], stem: str) -> list[Structure]:
    """A structure for each value that was found, if nothing declares what the values mean.

    Args:
        what: the array or file, for messages.
        found: voxel count of each value.
        stem: name of the file; a single value is the structure that it names, if there is one.

    Raises:
        InputError: there are more than 255 values.
    """
    if len(found) > MAX_STRUCTURES:
        raise InputError(
            f"{what} is not a label map: it holds {len(found)} different values, at most {MAX_STRUCTURES} are "
            "expected; choose the segmentation, not the scan."
        )
    if len(found) == 1 and (name := _name_in(stem)):
        return [known_structure(name, 1, tuple(found))]
    return [known_structure(f"label {value}", index, (value,)) for index, value in enumerate(sorted(found), start=1)]


_PARTS_OF = {
    "tumor", "tumors", "tumour", "tumours", "lesion", "lesions", "cancer", "cyst", "cysts", "metastasis", "metastases",
    "nodule", "nodules", "mass", "vessel", "vessels", "wall", "edema", "hematoma", "stone", "stones",
}  # fmt: skip
"""Words for something in or of the organ beside them: "liver_tumor" is not the liver."""


def _name_in(stem: str) -> str | None:
    """The one known structure that a file name contains ("chaos_liver" -> "liver"), None if there is none or several.

    A word for something in or of that structure is kept ("liver_tumor" -> "liver tumor").
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
    """Structure indices uint8 of an array of source values, by one look-up table.

    Args:
        labels: source values, 0 to 65535.
        found: voxel count of each value.
        structures: the structures that declare the values.
        path: the file, for messages.

    Raises:
        InputError: there are values that no structure declares.
    """
    table = np.zeros(65536, dtype=np.uint8)
    declared = {value: structure.index for structure in structures for value in structure.values}
    undeclared = {value: count for value, count in found.items() if value not in declared}
    if undeclared:
        listed = ", ".join(f"{value} ({counted(count, 'voxel')})" for value, count in list(undeclared.items())[:8])
        more = f" and {len(undeclared) - 8} more" if len(undeclared) > 8 else ""
        raise InputError(
            f"{path} holds label values that are not declared: {listed}{more}; declared are "
            f"{', '.join(map(str, sorted(declared)))}: declare them or remove them."
        )
    for value, index in declared.items():
        table[value] = index
    return table[labels]
