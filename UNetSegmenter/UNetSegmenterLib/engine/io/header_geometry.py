"""The grid that a file's header describes: the same checks, notes and errors for all formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from .geometry import Geometry, sizes_text
from .image_header import quoted
from .volume import Note

SAME_POSITION_MM = 0.1
"""Two entries of one header agree if they put every voxel at the same position within this: numbers are rounded."""

SAME_SIZE = 1e-4
"""Relative difference of two spacings that rounding explains: a float32 has seven digits."""

SMALLEST_MM, LARGEST_MM, FARTHEST_MM = 1e-6, 1e6, 1e9
"""Voxel edges from an atom to a kilometre, and origins up to a thousand of them away: what lies beyond is damage."""

LARGEST_AXIS = 2**31 - 1

NO_ORIENTATION = (
    "the file does not give the patient's orientation; columns are assumed to run to the left, rows to the {rows} and slices to "
    "the head{as_others}: compare left and right with a scan you know."
)


def header_geometry(
    path: Path, size: Sequence[int], affine: np.ndarray, spacing_mm: Sequence[float] | None = None
) -> Geometry:
    """Geometry of `size` (columns, rows, slices) voxels; raises InputError where the affine spans no volume.

    Args:
        path: the file, for messages.
        size: number of columns, rows and slices.
        affine: 4x4 from voxel index (column, row, slice) to LPS in mm.
        spacing_mm: the spacing (column, row, slice) that the file itself gives. It is kept to the last digit where it agrees
            with the length of the affine's columns within rounding.
    """
    check_affine(path, affine)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not (lengths > 0).all() or abs(np.linalg.det(affine[:3, :3] / np.where(lengths > 0, lengths, 1))) < 1e-3:
        rows = "; ".join(" ".join(f"{value:.4g}" for value in row) for row in affine[:3, :3])
        raise InputError(
            f"{path} has directions that span no volume ({rows}: two are parallel or one has no length); export it again."
        )
    if min(lengths) < SMALLEST_MM or max(lengths) > LARGEST_MM:
        raise InputError(
            f"{path} has voxels of {sizes_text(lengths, '.3g')} mm by its header; edges from {SMALLEST_MM:g} to "
            f"{LARGEST_MM:g} mm are expected: export it again."
        )
    direction = affine[:3, :3] / lengths
    if spacing_mm is not None and np.allclose(spacing_mm, lengths, rtol=SAME_SIZE, atol=0):
        lengths = np.asarray(spacing_mm, float)
    x, y, z = (float(value) for value in lengths)
    origin = tuple(float(value) + 0.0 for value in affine[:3, 3])
    direction_rows = tuple(tuple(float(value) + 0.0 for value in row) for row in direction)
    return Geometry(tuple(size[::-1]), (z, y, x), origin, direction_rows)  # type: ignore[arg-type]


def check_affine(path: Path, affine: np.ndarray) -> None:
    """Raise InputError for an affine (4, 4), in mm, with numbers that are none, or beyond what can be calculated with."""
    if not np.isfinite(affine).all():
        raise InputError(f"{path} has a NaN or infinite number in its orientation or origin; export it again.")
    if (largest := float(np.abs(affine).max())) > FARTHEST_MM:
        raise InputError(
            f"{path} has {largest:.3g} mm in its orientation or origin; at most {FARTHEST_MM:g} mm are expected: export it again."
        )


def check_sizes(path: Path, sizes: Sequence[int], found: str | None = None) -> None:
    """Raise InputError for numbers of voxels along the axes that are none; `found` is how the header gives them."""
    if not sizes or not all(1 <= size <= LARGEST_AXIS for size in sizes):
        found = quoted(sizes_text(sizes[:8]) if found is None else found)
        raise InputError(
            f"{path} is damaged: its header gives the size {found}; whole numbers from 1 to {LARGEST_AXIS:,} are expected: copy "
            "or export it again."
        )


def check_spacing(path: Path, spacing: Sequence[float], what: str) -> None:
    """Raise InputError for a spacing that is no size: 0, negative, NaN or infinite."""
    if not all(0 < value <= FARTHEST_MM for value in spacing):
        found = sizes_text(spacing, "g")
        raise InputError(
            f"{path} has the {what} {found}; lengths above 0 are expected, on which all lengths and volumes depend; export it "
            "again with its voxel size."
        )


def missing_spacing(path: Path, what: str) -> InputError:
    """The error for a file that does not give the size of its voxels."""
    return InputError(
        f"{path} does not give the size of its voxels ({what} is missing), on which all lengths and volumes depend; export it "
        "again with its voxel size."
    )


def no_orientation_note(rows: str = "back", as_others: str = "") -> Note:
    """The warning that the patient's orientation is an assumption."""
    return Note("warning", NO_ORIENTATION.format(rows=rows, as_others=as_others))
