"""The reference geometry of a `.seg.nrrd`: the grid that it was drawn on, which Slicer crops to the segments by default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..io.geometry import LPS_TO_RAS, Geometry
from ..io.header_geometry import FARTHEST_MM, SMALLEST_MM
from .cropped_grid import continued, reach, refuse_too_many_voxels

_PARAMETERS, _OFFSET = "Segmentation_ConversionParameters", "Segmentation_ReferenceImageExtentOffset"
_REFERENCE = "Reference image geometry"


def reference_geometry_text(geometry: Geometry) -> str:
    """Slicer's conversion parameter for a grid: the affine to RAS, then the extent."""
    ras = geometry.affine_ras()
    extent = [bound for size in geometry.shape[::-1] for bound in (0, size - 1)]
    text = "".join(f"{value:.17g};" for value in ras.flatten()) + "".join(f"{bound};" for bound in extent)
    return f"{_REFERENCE}|{text}|Image geometry description string.&"


def reference_geometry(header: Mapping[str, str]) -> Geometry | None:
    """The grid in the header's conversion parameters, None if they hold none."""
    found = re.search(rf"(?:^|&){_REFERENCE}\|([^|&]*)", header.get(_PARAMETERS, ""))
    try:
        numbers = [float(part) for part in found[1].split(";") if part.strip()] if found else []
    except ValueError:
        return None
    if len(numbers) != 22 or not np.isfinite(numbers).all() or max(map(abs, numbers)) > FARTHEST_MM:
        return None
    affine = LPS_TO_RAS @ np.reshape(numbers[:16], (4, 4))
    low, high = np.array(numbers[16::2], dtype=int), np.array(numbers[17::2], dtype=int)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if (high < low).any() or min(spacing) < SMALLEST_MM or abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        return None
    direction = tuple(tuple(float(value) for value in row) for row in affine[:3, :3] / spacing)
    origin = tuple(float(value) for value in (affine @ [*low, 1.0])[:3])
    shape, spacing_mm = tuple(int(n) for n in (high - low + 1)[::-1]), tuple(float(mm) for mm in spacing[::-1])
    return Geometry(shape, spacing_mm, origin, direction)  # type: ignore[arg-type]


def uncropped(
    labels: np.ndarray, overlaps: Mapping[int, np.ndarray], box: Geometry, header: Mapping[str, str], path: Path
) -> tuple[np.ndarray, dict[int, np.ndarray], Geometry, tuple[str, ...]]:
    """The complete grid of labels that were cropped to a box.

    No voxel is resampled: the grid of the file is continued over the whole reference geometry, which gives that geometry itself
    unless the segments were drawn on other voxels. Without a reference geometry the box is kept.

    Args:
        labels: (slices, rows, columns).
        overlaps: flat indices of hidden voxels by structure index.
        box: the grid of `labels`.
        header: the header of the file.
        path: the file, for messages.

    Returns:
        Labels, overlaps, their grid, and notes.
    """
    drawn = reference_geometry(header)
    if drawn is None:
        cropped = any(part not in ("", "0") for part in header.get(_OFFSET, "").split())
        note = (
            f"{path.name} was cropped to its segments and names no reference geometry: its extent outside is not known."
        )
        return labels, dict(overlaps), box, (note,) * cropped
    low, high = reach(drawn, box)
    apart = (high <= 0).any() or (low >= np.array(box.shape[::-1])).any()
    if apart and not labels.any():
        refuse_too_many_voxels(drawn.shape, path)
        return np.zeros(drawn.shape, dtype=labels.dtype), {}, drawn, ()
    if apart:
        note = f"{path.name} has a reference geometry that does not contain its segments, so it was not used."
        return labels, dict(overlaps), box, (note,)
    return *continued(labels, overlaps, box, drawn, path), ()
