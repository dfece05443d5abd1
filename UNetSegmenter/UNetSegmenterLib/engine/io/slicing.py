"""Slices of a volume along an anatomical axis, or as its file stores them: views of its arrays, slices first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .geometry import Geometry

AXES = ("axial", "coronal", "sagittal")
"""Slicing axes: the slices follow each other to superior, to posterior and to left."""
STORED = "stored"
ORIENTATIONS = {"axial": "PL", "coronal": "IL", "sagittal": "IP"}
"""Directions in which the rows and the columns of a slice follow each other, as a radiologist looks at it."""
_DIRECTIONS = {"S": (0, False), "I": (0, True), "P": (1, False), "A": (1, True), "L": (2, False), "R": (2, True)}


@dataclass(frozen=True)
class Slicing:
    """How the arrays on a grid are seen as slices; no view copies anything, and what is written into it changes the array.

    Args:
        axis: the anatomical axis that the slices follow, one of `AXES`.
        axes: array axes of slices, rows and columns.
        flips: for each of them, whether it is reversed.
        shape: slices, rows and columns.
        spacing_mm: between slices, rows and columns.
    """

    axis: str
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    def view(self, array: np.ndarray) -> np.ndarray:
        """The array, of the grid's shape, as (slices, rows, columns)."""
        return array.transpose(self.axes)[tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)]


def slicing_along(geometry: Geometry, axis: str = "axial", orientation: str = "") -> Slicing:
    """Slices of a grid along an anatomical axis; those of an oblique grid follow its nearest array axis.

    Args:
        geometry: the grid.
        axis: one of `AXES`.
        orientation: two letters of R L A P I S, where rows and columns increase to; by default as in `ORIENTATIONS`.
    """
    check_orientation(axis, orientation)
    anatomical, reversed_ = geometry.axial()  # array axes of superior, posterior and left
    wanted = [(AXES.index(axis), False), *(_DIRECTIONS[letter] for letter in orientation or ORIENTATIONS[axis])]
    axes = [anatomical[which] for which, _ in wanted]
    return _slicing(geometry, axis, axes, [reversed_[which] != flip for which, flip in wanted])


def stored_slicing(geometry: Geometry, stored_axes: tuple[int, int, int] = (0, 1, 2)) -> Slicing:
    """Slices as the file stores them: `stored_axes` are the array axes of slices, rows and columns, none is reversed."""
    anatomical, _ = geometry.axial()
    return _slicing(geometry, AXES[anatomical.index(stored_axes[0])], list(stored_axes), [False] * 3)


def check_orientation(axis: str, orientation: str) -> None:
    """Raise InputError unless `axis` is one of `AXES` and the letters name the other two directions."""
    if axis not in AXES:
        raise InputError(f'The slicing axis is "{axis}"; {", ".join(AXES)} are known.')
    found = sorted(_DIRECTIONS[letter][0] for letter in orientation if letter in _DIRECTIONS)
    if orientation and (len(orientation) != 2 or found != [i for i in range(3) if i != AXES.index(axis)]):
        raise InputError(
            f'The orientation of {axis} slices is "{orientation}"; two letters such as "{ORIENTATIONS[axis]}" are expected, '
            "where rows and where columns increase to."
        )


def _slicing(geometry: Geometry, axis: str, axes: list[int], flips: list[bool]) -> Slicing:
    shape, spacing_mm = (tuple(values[i] for i in axes) for values in (geometry.shape, geometry.spacing_mm))
    return Slicing(axis, tuple(axes), tuple(flips), shape, spacing_mm)  # type: ignore[arg-type]
