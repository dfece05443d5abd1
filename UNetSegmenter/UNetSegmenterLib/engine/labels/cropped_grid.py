"""Labels whose file holds a part of their grid: the grid continued over a larger one, without resampling a voxel."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..errors import InputError
from ..io.geometry import SAME_GRID_VOXELS, Geometry, sizes_text

MAX_VOXELS = 2**33  # a scan of 2048 x 2048 x 2048; a larger grid is an error in the header


def reach(whole: Geometry, box: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """First index and one past the last (column, row, slice) at which the box's grid covers the grid `whole`.

    That grid reaches half a voxel beyond the centres of its outermost voxels, less a tolerance for rounding.
    """
    last = np.array(whole.shape[::-1]) - 0.5
    corners = np.array([[i, j, k, 1.0] for i in (-0.5, last[0]) for j in (-0.5, last[1]) for k in (-0.5, last[2])])
    index = (corners @ whole.affine_lps().T @ np.linalg.inv(box.affine_lps()).T)[:, :3]
    low = np.ceil(index.min(axis=0) + 0.5 - SAME_GRID_VOXELS)
    high = np.floor(index.max(axis=0) + 0.5 + SAME_GRID_VOXELS)
    return low.astype(int), high.astype(int)


def continued(
    labels: np.ndarray, overlaps: Mapping[int, np.ndarray], box: Geometry, whole: Geometry, name: object
) -> tuple[np.ndarray, dict[int, np.ndarray], Geometry]:
    """Labels on the grid of their box, continued so far that it covers `whole`, which becomes the grid if it is the same one.

    Args:
        labels: (slices, rows, columns).
        overlaps: flat indices of hidden voxels by structure index.
        box: the grid of `labels`.
        whole: the grid to cover.
        name: what the labels are called, for messages.

    Returns:
        Labels, overlaps, and their grid.

    Raises:
        InputError: the grid would have more voxels than any scan.
    """
    low, high = reach(whole, box)
    low, high = np.minimum(low, 0), np.maximum(high, np.array(box.shape[::-1]))
    shape = tuple(int(n) for n in (high - low)[::-1])
    refuse_too_many_voxels(shape, name)
    moved = dict(overlaps)
    if shape != labels.shape:
        labels, moved = _padded(labels, overlaps, shape, -low[::-1])
    origin = box.position_lps_mm(low[::-1]) if low.any() else box.origin_lps
    grid = Geometry(shape, box.spacing_mm, origin, box.direction)  # type: ignore[arg-type]
    return labels, moved, whole if grid.is_close(whole) else grid


def refuse_too_many_voxels(shape: tuple[int, ...], name: object) -> None:
    """Raise InputError for the shape (slices, rows, columns) of a grid that has more voxels than any scan."""
    if math.prod(shape) > MAX_VOXELS:
        raise InputError(
            f"{name} has a reference geometry of {sizes_text(shape[::-1])} voxels, more than any scan has; save it again."
        )


def _padded(
    labels: np.ndarray, overlaps: Mapping[int, np.ndarray], shape: tuple[int, ...], start: np.ndarray
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Labels and overlaps in an array of this shape, where the first voxel of `labels` has the index `start`."""
    whole = np.zeros(shape, dtype=labels.dtype)
    whole[tuple(slice(int(a), int(a) + n) for a, n in zip(start, labels.shape, strict=True))] = labels
    moved = {
        index: np.ravel_multi_index(
            tuple(np.array(np.unravel_index(voxel_indices, labels.shape)) + start[:, None]), shape
        )
        for index, voxel_indices in overlaps.items()
    }
    return whole, moved
