"""Dice and areas of one structure slice by slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..io.geometry import Geometry
from ..labels.bounding_boxes import Box
from ..labels.dice import dice_coefficient


@dataclass(frozen=True)
class SliceCurve:
    """Dice and areas of one structure slice by slice, inferior to superior, in the slices where either has voxels.

    Attributes:
        axis: Array axis closest to the patient's long axis.
        slices: Indices of the slices along that axis.
        superior_mm: Superior coordinate (RAS) of the middle of each slice.
        dice: Dice coefficient in each slice.
        prediction_mm2: Area of the prediction in each slice.
        reference_mm2: Area of the reference in each slice.
    """

    axis: int
    slices: tuple[int, ...]
    superior_mm: tuple[float, ...]
    dice: tuple[float, ...]
    prediction_mm2: tuple[float, ...]
    reference_mm2: tuple[float, ...]

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


def slice_heights_mm(geometry: Geometry) -> np.ndarray:
    """Superior coordinate (RAS, mm) of the middle of each slice along the patient's long axis, by array index."""
    axis = geometry.axial()[0][0]
    index = np.ones((geometry.shape[axis], 4))
    index[:, :3] = (np.array(geometry.shape[::-1]) - 1) / 2
    index[:, 2 - axis] = np.arange(geometry.shape[axis])
    return (index @ geometry.affine_lps().T)[:, 2]


def slice_curve(prediction: np.ndarray, reference: np.ndarray, box: Box, geometry: Geometry) -> SliceCurve:
    """Measure two masks slice by slice.

    Args:
        prediction: Mask cropped to `box`, boolean; at least one of the two masks is not empty.
        reference: Mask cropped to `box`.
        box: Where the masks lie in the grid.
        geometry: The grid.
    """
    axes, flips = geometry.axial()
    axis, others = axes[0], (axes[1], axes[2])
    ours, theirs, common = (
        np.count_nonzero(mask, axis=others) for mask in (prediction, reference, prediction & reference)
    )
    slices = np.arange(box[axis].start, box[axis].stop)
    superior_mm = slice_heights_mm(geometry)[slices]
    filled = np.flatnonzero(ours + theirs)
    order = filled[::-1] if flips[0] else filled
    pixel_mm2 = geometry.spacing_mm[others[0]] * geometry.spacing_mm[others[1]]
    dice = dice_coefficient(common, ours, theirs)[order]

    def listed(values: np.ndarray) -> tuple[float, ...]:
        return tuple(float(value) for value in values)

    return SliceCurve(
        axis,
        tuple(int(value) for value in slices[order]),
        listed(superior_mm[order]),
        listed(dice),
        listed(ours[order] * pixel_mm2),
        listed(theirs[order] * pixel_mm2),
    )
