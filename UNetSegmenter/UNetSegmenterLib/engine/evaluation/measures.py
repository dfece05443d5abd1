"""How far a prediction is from the reference: overlap, surface distances in mm and volumes of one structure in 3D.

Surfaces are taken between voxel centres: every 2 x 2 x 2 neighbourhood that holds both inside and outside is one
surface element, as in S. Nikolov et al., "Clinically applicable segmentation of head and neck anatomy", JMIR 2021. Each
element counts with its area, so that fine and coarse grids, flat and steep parts of an organ weigh what they measure.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..errors import InputError
from ..labels.bounding_boxes import bounding_box
from ..labels.dice import dice_coefficient

DEFAULT_TOLERANCE_MM = 2.0


def check_tolerance(tolerance_mm: float) -> float:
    """The tolerance of the normalised surface distance, in mm; raises InputError if it is no length."""
    if not (math.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise InputError(f"A tolerance of {tolerance_mm:g} mm is no length; give 0 or more millimetres, such as 2.")
    return tolerance_mm


@dataclass(frozen=True)
class Measures:
    """All measures of one structure in one case; docs/metrics.md defines each.

    `dice`, `iou`, `precision`, `recall`, `nsd` lie between 0 and 1; precision is NaN without a prediction and recall is
    NaN without a reference. Distances are infinite where one of the two is empty. `difference_ml` is prediction minus
    reference. `components` counts the 26-connected pieces of the prediction.
    """

    dice: float
    iou: float
    precision: float
    recall: float
    hd95_mm: float
    hd_mm: float
    assd_mm: float
    nsd: float
    prediction_ml: float
    reference_ml: float
    difference_ml: float
    components: int
    reference_components: int


@dataclass(frozen=True)
class Surface:
    """Surface elements of a mask: `(n, 3)` cell indices and the area of each in mm^2.

    Cell (a, b, c) lies between voxels (a - 1, b - 1, c - 1) and (a, b, c) of the mask.
    """

    cells: np.ndarray
    area_mm2: np.ndarray
    grid: np.ndarray


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances of each surface element to the other surface, in mm, with the area that each element stands for.

    `farthest` is the place of the largest of all distances as a fractional array index (slice, row, column).
    """

    to_reference_mm: np.ndarray
    prediction_area_mm2: np.ndarray
    to_prediction_mm: np.ndarray
    reference_area_mm2: np.ndarray
    farthest: tuple[float, float, float]

    def hausdorff_mm(self, percent: float = 100.0) -> float:
        """Hausdorff distance, or its robust form: the larger of the two directed, area-weighted percentiles."""
        return max(
            weighted_percentile(self.to_reference_mm, self.prediction_area_mm2, percent),
            weighted_percentile(self.to_prediction_mm, self.reference_area_mm2, percent),
        )

    def average_mm(self) -> float:
        """Average symmetric surface distance: both directions pooled, each element weighted with its area."""
        # Summed by numpy: a BLAS product's last digit depends on where in memory the arrays happen to lie.
        moment = float((self.to_reference_mm * self.prediction_area_mm2).sum())
        moment += float((self.to_prediction_mm * self.reference_area_mm2).sum())
        return moment / float(self.prediction_area_mm2.sum() + self.reference_area_mm2.sum())

    def within(self, tolerance_mm: float) -> float:
        """Normalised surface distance: the share of both surfaces that lies within the tolerance of the other."""
        limit = tolerance_mm + 1e-5  # distance maps are 32 bit: 3.2 mm may read 3.2000001
        close = float(self.prediction_area_mm2[self.to_reference_mm <= limit].sum())
        close += float(self.reference_area_mm2[self.to_prediction_mm <= limit].sum())
        return close / float(self.prediction_area_mm2.sum() + self.reference_area_mm2.sum())


def measure(
    prediction_mask: np.ndarray,
    reference_mask: np.ndarray,
    spacing_mm: Sequence[float],
    tolerance_mm: float = DEFAULT_TOLERANCE_MM,
) -> Measures | None:
    """Compare two masks `(slices, rows, columns)` of one grid with `spacing_mm` in array order.

    None if both are empty: there is nothing to compare. If one is empty, Dice, IoU and NSD are 0 and distances
    infinite. Raises ValueError if shapes differ or the spacing isn't three positive numbers.
    """
    measures, _ = measure_with_position(prediction_mask, reference_mask, spacing_mm, tolerance_mm)
    return measures


def measure_with_position(
    prediction_mask: np.ndarray,
    reference_mask: np.ndarray,
    spacing_mm: Sequence[float],
    tolerance_mm: float = DEFAULT_TOLERANCE_MM,
) -> tuple[Measures | None, tuple[float, float, float] | None]:
    """`measure`, and the array index (slice, row, column) of the largest error to look at.

    The place is where the Hausdorff distance is reached, or the middle of the only mask that holds anything.
    """
    spacing = _checked_spacing(prediction_mask, reference_mask, spacing_mm)
    prediction, reference = prediction_mask.astype(bool, copy=False), reference_mask.astype(bool, copy=False)
    box = bounding_box(prediction, reference)
    if box is None:
        return None, None
    prediction, reference = prediction[box], reference[box]
    start = np.array([part.start for part in box], dtype=float)
    predicted, referred = int(np.count_nonzero(prediction)), int(np.count_nonzero(reference))
    common = int(np.count_nonzero(prediction & reference))
    if predicted and referred:
        distances = surface_distances(prediction, reference, spacing)
        hd95, hd, assd = distances.hausdorff_mm(95), distances.hausdorff_mm(), distances.average_mm()
        nsd, place = distances.within(tolerance_mm), start + distances.farthest
    else:
        hd95 = hd = assd = float("inf")
        nsd, place = 0.0, start + np.mean(np.nonzero(prediction | reference), axis=1)
    voxel_ml = float(np.prod(spacing)) / 1000.0
    measures = Measures(
        dice=float(dice_coefficient(common, predicted, referred)),
        iou=common / (predicted + referred - common),
        precision=common / predicted if predicted else float("nan"),
        recall=common / referred if referred else float("nan"),
        hd95_mm=hd95,
        hd_mm=hd,
        assd_mm=assd,
        nsd=nsd,
        prediction_ml=predicted * voxel_ml,
        reference_ml=referred * voxel_ml,
        difference_ml=(predicted - referred) * voxel_ml,
        components=count_components(prediction),
        reference_components=count_components(reference),
    )
    return measures, tuple(float(value) for value in place)  # type: ignore[return-value]


def _checked_spacing(prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float]) -> tuple[float, ...]:
    spacing = np.asarray(spacing_mm, dtype=float)
    if prediction.shape != reference.shape or prediction.ndim != 3:
        raise ValueError(f"masks of {prediction.shape} and {reference.shape}: two 3D masks of one grid are expected.")
    if spacing.shape != (3,) or not np.isfinite(spacing).all() or not (spacing > 0).all():
        raise ValueError(f"spacing {spacing_mm}: three positive numbers in mm (slice, row, column) are expected.")
    return tuple(float(value) for value in spacing)


def surface(mask: np.ndarray, spacing_mm: Sequence[float]) -> Surface:
    """Surface elements of a boolean mask with the area of each; the volume's border counts as outside."""
    padded = np.pad(mask, 1)
    lowest, highest = padded, padded
    for axis in range(3):
        before, after = _halves(axis)
        lowest, highest = lowest[before] & lowest[after], highest[before] | highest[after]
    grid = highest ^ lowest
    cells = np.array(np.nonzero(grid)).T
    code = np.zeros(len(cells), dtype=np.uint8)
    for bit, corner in enumerate(_CORNERS):
        code |= padded[tuple(cells[:, axis] + corner[axis] for axis in range(3))].view(np.uint8) << bit
    return Surface(cells, _element_areas_mm2(tuple(float(value) for value in spacing_mm))[code], grid)


_CORNERS = tuple(itertools.product((0, 1), repeat=3))


@lru_cache(maxsize=32)
def _element_areas_mm2(spacing_mm: tuple[float, float, float], samples: int = 24) -> np.ndarray:
    """Area in mm^2 of the surface inside a cell, for each of the 256 ways its corners can be inside (bit n: corner n).

    The surface is where the trilinear interpolation of the corners (inside 1, outside 0) is one half. Along each axis
    its crossings are found on a grid of rays; each piece counts along the axis that its normal is closest to.
    """
    corners = (np.arange(256)[:, None] >> np.arange(8) & 1).astype(float).reshape(256, 2, 2, 2)
    ticks = (np.arange(samples) + 0.5) / samples
    u, v = (part[None] for part in np.meshgrid(ticks, ticks, indexing="ij"))
    areas = np.zeros(256)
    for axis in range(3):
        c = np.moveaxis(corners, 1 + axis, 1)[..., None, None]
        others = [spacing_mm[other] for other in range(3) if other != axis]
        near, far = ((f[:, 0, 0] * (1 - v) + f[:, 0, 1] * v) * (1 - u) + (f[:, 1, 0] * (1 - v) + f[:, 1, 1] * v) * u
                     for f in (c[:, 0], c[:, 1]))  # fmt: skip
        crossed = (near - 0.5) * (far - 0.5) < 0
        step = np.where(crossed, far - near, 1.0)
        depth = ((0.5 - near) / step)[:, None, None]
        face = c[:, 0] * (1 - depth) + c[:, 1] * depth
        along_u = ((face[:, 1, 0] - face[:, 0, 0]) * (1 - v) + (face[:, 1, 1] - face[:, 0, 1]) * v) / others[0]
        along_v = ((face[:, 0, 1] - face[:, 0, 0]) * (1 - u) + (face[:, 1, 1] - face[:, 1, 0]) * u) / others[1]
        along = np.abs(step) / spacing_mm[axis]
        # Where two components tie, each of their axes counts that piece in part.
        rank = sum((np.isclose(along, np.abs(other)) for other in (along_u, along_v)), start=np.ones(along.shape))
        largest = (along >= np.abs(along_u) * (1 - 1e-6)) & (along >= np.abs(along_v) * (1 - 1e-6))
        length = np.sqrt(along**2 + along_u**2 + along_v**2) / along
        areas += (np.where(crossed & largest, length / rank, 0.0)).mean(axis=(1, 2)) * others[0] * others[1]
    return areas


def _halves(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    before = tuple(slice(None, -1) if other == axis else slice(None) for other in range(3))
    after = tuple(slice(1, None) if other == axis else slice(None) for other in range(3))
    return before, after


def surface_distances(prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float]) -> SurfaceDistances:
    """Distances between the surfaces of two boolean masks of one grid, neither of them empty."""
    ours, theirs = surface(prediction, spacing_mm), surface(reference, spacing_mm)
    to_reference = _distances(ours, theirs, spacing_mm)
    to_prediction = _distances(theirs, ours, spacing_mm)
    if to_reference.max() >= to_prediction.max():
        cell = ours.cells[int(to_reference.argmax())]
    else:
        cell = theirs.cells[int(to_prediction.argmax())]
    farthest = tuple(float(value) - 0.5 for value in cell)
    return SurfaceDistances(to_reference, ours.area_mm2, to_prediction, theirs.area_mm2, farthest)  # type: ignore[arg-type]


def _distances(source: Surface, target: Surface, spacing_mm: Sequence[float]) -> np.ndarray:
    """Euclidean distance in mm from each element of `source` to the nearest element of `target`.

    SimpleITK's exact distance map (C. Maurer et al., IEEE TPAMI 2003) of the target's elements, read at the source's.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(target.grid.view(np.uint8))
    image.SetSpacing([float(value) for value in spacing_mm][::-1])
    image = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    index = tuple(source.cells.T)
    distances = sitk.GetArrayViewFromImage(image)[index].astype(float)
    distances[target.grid[index]] = 0.0
    return distances


def weighted_percentile(values: np.ndarray, weights: np.ndarray, percent: float) -> float:
    """Smallest value that at least `percent` % of the weight does not exceed; 100 is the maximum."""
    if percent >= 100:
        return float(values.max())
    order = np.argsort(values)
    share = np.cumsum(weights[order])
    place = int(np.searchsorted(share, percent / 100 * share[-1]))
    return float(values[order[min(place, len(order) - 1)]])


def count_components(mask: np.ndarray) -> int:
    """Number of 26-connected pieces of a mask."""
    if not mask.any():
        return 0
    import SimpleITK as sitk

    label = sitk.ConnectedComponentImageFilter()
    label.SetFullyConnected(True)
    label.Execute(sitk.GetImageFromArray(np.ascontiguousarray(mask).view(np.uint8)))
    return int(label.GetObjectCount())
