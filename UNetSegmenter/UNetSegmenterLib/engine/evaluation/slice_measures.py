"""Dice and areas of one structure slice by slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..io.geometry import Geometry
from ..io.slicing_axis import AXIAL, slice_positions_mm, slices_along
from ..labels.bounding_boxes import Box
from ..labels.dice import dice_coefficient


@dataclass(frozen=True)
class SliceCurve:
    """Dice and areas of one structure slice by slice, in the slices where either has voxels.

    The slices run from inferior to superior, from posterior to anterior, or from left to right.

    Attributes:
        axis: Array axis closest to the slicing axis.
        slices: Indices of the slices along that axis.
        position_mm: RAS coordinate of the middle of each slice along the slicing axis.
        dice: Dice coefficient in each slice.
        prediction_mm2: Area of the prediction in each slice.
        reference_mm2: Area of the reference in each slice.
        slicing_axis: "axial", "coronal" or "sagittal".
    """

    axis: int
    slices: tuple[int, ...]
    position_mm: tuple[float, ...]
    dice: tuple[float, ...]
    prediction_mm2: tuple[float, ...]
    reference_mm2: tuple[float, ...]
    slicing_axis: str = AXIAL

    @property
    def error_mm2(self) -> tuple[float, ...]:
        """Area that only one of the two has, slice by slice."""
        both = zip(self.dice, self.prediction_mm2, self.reference_mm2, strict=True)
        return tuple((1 - dice) * (ours + theirs) for dice, ours, theirs in both)

    def worst_first(self) -> list[int]:
        """Indices into the curve, sorted by the area in error, largest first.

        By area rather than by Dice, which is lowest at the ends of an organ, where only a few voxels differ.
        """
        error = self.error_mm2
        return sorted(range(len(error)), key=lambda index: -error[index])


def slice_curve(
    prediction: np.ndarray, reference: np.ndarray, box: Box, geometry: Geometry, slicing_axis: str = AXIAL
) -> SliceCurve:
    """Measure two masks slice by slice.

    Args:
        prediction: Mask cropped to `box`, boolean; at least one of the two masks is not empty.
        reference: Mask cropped to `box`.
        box: Where the masks lie in the grid.
        geometry: The grid.
        slicing_axis: What the slices follow each other along.
    """
    axis, falls = slices_along(geometry, slicing_axis)
    others = (0 if axis else 1, 1 if axis == 2 else 2)
    ours, theirs, common = (
        np.count_nonzero(mask, axis=others) for mask in (prediction, reference, prediction & reference)
    )
    slices = np.arange(box[axis].start, box[axis].stop)
    position_mm = slice_positions_mm(geometry, slicing_axis)[slices]
    filled = np.flatnonzero(ours + theirs)
    order = filled[::-1] if falls else filled
    pixel_mm2 = geometry.spacing_mm[others[0]] * geometry.spacing_mm[others[1]]
    dice = dice_coefficient(common, ours, theirs)[order]

    def listed(values: np.ndarray) -> tuple[float, ...]:
        return tuple(float(value) for value in values)

    return SliceCurve(
        axis,
        tuple(int(value) for value in slices[order]),
        listed(position_mm[order]),
        listed(dice),
        listed(ours[order] * pixel_mm2),
        listed(theirs[order] * pixel_mm2),
        slicing_axis,
    )
