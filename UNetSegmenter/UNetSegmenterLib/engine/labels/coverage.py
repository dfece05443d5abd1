"""How much of a segmentation lies outside a grid: what can't be compared or checked there."""

from __future__ import annotations

import numpy as np

from ..io.geometry import Geometry, box_corners
from .bounding_boxes import bounding_box
from .segmentation import Segmentation

_ROUNDING_VOXELS = 0.01  # by which a position in a file's header may be beyond the edge of the last voxel


def fraction_outside(segmentation: Segmentation, grid: Geometry) -> float:
    """Fraction (0 to 1) of the labelled voxels whose centres lie outside a grid; 0 where no voxel is labelled."""
    box = bounding_box(segmentation.labels)
    if box is None:
        return 0.0
    to_grid = np.linalg.inv(grid.affine_lps()) @ segmentation.geometry.affine_lps()
    labels = segmentation.labels[box]
    first = np.array([extent.start for extent in box][::-1] + [0.0])
    if _inside((box_corners(labels.shape) + first) @ to_grid.T, grid).all():
        return 0.0
    labelled = outside = 0
    for number, rows_and_columns in enumerate(labels):  # all positions of a scan at once don't fit the memory
        rows, columns = np.nonzero(rows_and_columns)
        index = np.stack((columns, rows, np.full(len(rows), number), np.ones(len(rows))), axis=1) + first
        labelled += len(rows)
        outside += int(np.count_nonzero(~_inside(index @ to_grid.T, grid)))
    return outside / labelled


def labelled_ml(segmentation: Segmentation) -> float:
    """Volume of all labelled voxels in ml."""
    return float(np.count_nonzero(segmentation.labels) * segmentation.geometry.voxel_ml)


def percent_text(fraction: float) -> str:
    """A fraction in percent; only none and all read as 0 % and 100 %."""
    percent = round(100 * fraction, 1)
    return f"{percent if fraction in (0, 1) else min(max(percent, 0.1), 99.9):g} %"


def _inside(index: np.ndarray, grid: Geometry) -> np.ndarray:
    """Whether positions (column, row, slice, 1) in voxels lie in the voxels of a grid; boolean (n,)."""
    first, last = -0.5 - _ROUNDING_VOXELS, np.array(grid.shape[::-1]) - 0.5 + _ROUNDING_VOXELS
    return np.all((index[:, :3] >= first) & (index[:, :3] <= last), axis=1)
