"""Measures of one structure in 3D: overlap, surface distances in mm and volumes of a prediction and its reference.

Surfaces are taken between voxel centres: every 2 x 2 x 2 neighbourhood that holds both inside and outside is one surface
element, as in Nikolov et al., J Med Internet Res 23, 2021 (arXiv 1809.04430, 2018). Each element is weighted by its area, so
that neither the grid's spacing nor the direction of the surface changes its weight. Definitions of all measures: Taha and
Hanbury, BMC Medical Imaging 15:29, 2015.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..errors import InputError
from ..labels.bounding_boxes import bounding_box, grown
from ..labels.dice import dice_coefficient

DEFAULT_TOLERANCE_MM = 2.0


def check_tolerance(tolerance_mm: float) -> float:
    """The tolerance (mm) of the normalised surface distance; raises InputError if it is negative or not finite."""
    if not (math.isfinite(tolerance_mm) and tolerance_mm >= 0):
        raise InputError(f"The tolerance is {tolerance_mm:g} mm, but must be 0 mm or more; give a length such as 2.")
    return tolerance_mm


@dataclass(frozen=True)
class Measures:
    """All measures of one structure in one case; docs/metrics.md defines each.

    Attributes:
        dice: Dice coefficient, 0 to 1 (Dice, Ecology 26, 1945).
        iou: Intersection over union, 0 to 1 (Jaccard, New Phytologist 11, 1912).
        precision: Fraction of the prediction that lies in the reference; NaN without a prediction.
        recall: Fraction of the reference that lies in the prediction; NaN without a reference.
        hd95_mm: 95th percentile of the Hausdorff distance; infinite where one of the two is empty, as all distances.
        hd_mm: Hausdorff distance (Huttenlocher et al., IEEE TPAMI 15, 1993).
        assd_mm: Average symmetric surface distance (Heimann et al., IEEE TMI 28, 2009).
        nsd: Normalised surface distance, 0 to 1 (Nikolov et al., 2018).
        prediction_ml: Volume of the prediction.
        reference_ml: Volume of the reference.
        difference_ml: Volume of the prediction minus that of the reference.
        components: Connected components of the prediction (26 neighbours).
        reference_components: Connected components of the reference.
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
    """Surface elements of a mask.

    Attributes:
        cells: Cell indices (n, 3); cell (a, b, c) lies between voxels (a - 1, b - 1, c - 1) and (a, b, c) of the mask.
        area_mm2: Area of each element (n,).
        grid: Which cells are elements, boolean, one larger than the mask along each axis.
    """

    cells: np.ndarray
    area_mm2: np.ndarray
    grid: np.ndarray


@dataclass(frozen=True)
class SurfaceDistances:
    """Distance of each surface element to the other surface, and its area.

    Attributes:
        to_reference_mm: Distances of the prediction's elements to the reference's surface.
        prediction_area_mm2: Areas of the prediction's elements.
        to_prediction_mm: Distances of the reference's elements to the prediction's surface.
        reference_area_mm2: Areas of the reference's elements.
        farthest: Position of the largest distance as a fractional array index (slice, row, column).
    """

    to_reference_mm: np.ndarray
    prediction_area_mm2: np.ndarray
    to_prediction_mm: np.ndarray
    reference_area_mm2: np.ndarray
    farthest: tuple[float, float, float]

    def hausdorff_mm(self, percent: float = 100.0) -> float:
        """Hausdorff distance, or a percentile of it: the larger of the two directed, area-weighted percentiles.

        Huttenlocher et al., IEEE TPAMI 15, 1993; the percentile as in Taha and Hanbury, BMC Medical Imaging 15:29, 2015.
        """
        return max(
            weighted_percentile(self.to_reference_mm, self.prediction_area_mm2, percent),
            weighted_percentile(self.to_prediction_mm, self.reference_area_mm2, percent),
        )

    def average_mm(self) -> float:
        """Average symmetric surface distance: both directions together, each element weighted by its area.

        Heimann et al., IEEE TMI 28, 2009.
        """
        # Summed by numpy: the last digit of a BLAS product depends on the arrays' positions in memory.
        moment = float((self.to_reference_mm * self.prediction_area_mm2).sum())
        moment += float((self.to_prediction_mm * self.reference_area_mm2).sum())
        return moment / float(self.prediction_area_mm2.sum() + self.reference_area_mm2.sum())

    def within(self, tolerance_mm: float) -> float:
        """Normalised surface distance: the fraction of both surfaces that lies within the tolerance of the other.

        Nikolov et al., J Med Internet Res 23, 2021 (arXiv 1809.04430, 2018).
        """
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
    """Compare two masks of one grid.

    Args:
        prediction_mask: (slices, rows, columns), boolean.
        reference_mask: The same shape.
        spacing_mm: Spacing of the grid (slice, row, column).
        tolerance_mm: Tolerance of the normalised surface distance.

    Returns:
        All measures; None if both masks are empty. If one is empty, Dice, IoU and NSD are 0 and distances infinite.

    Raises:
        ValueError: If the shapes differ, or the spacing is not three positive numbers.
    """
    measures, _ = measure_with_position(prediction_mask, reference_mask, spacing_mm, tolerance_mm)
    return measures


def measure_with_position(
    prediction_mask: np.ndarray,
    reference_mask: np.ndarray,
    spacing_mm: Sequence[float],
    tolerance_mm: float = DEFAULT_TOLERANCE_MM,
    ignored: np.ndarray | None = None,
) -> tuple[Measures | None, tuple[float, float, float] | None]:
    """`measure`, and the array index (slice, row, column) of the largest error.

    That is where the Hausdorff distance is reached, or the centroid of the only mask that is not empty.

    Args:
        prediction_mask: As in `measure`, without ignored voxels.
        reference_mask: As in `measure`, without ignored voxels.
        spacing_mm: As in `measure`.
        tolerance_mm: As in `measure`.
        ignored: Voxels that are not decided. Surfaces end where they touch them, so that the cuts are no surfaces;
            distances are NaN where a mask has no other surface.
    """
    spacing = _checked_spacing(prediction_mask, reference_mask, spacing_mm)
    prediction, reference = prediction_mask.astype(bool, copy=False), reference_mask.astype(bool, copy=False)
    box = bounding_box(prediction, reference)
    if box is None:
        return None, None
    if ignored is not None:
        box = grown(box, prediction.shape)  # what is ignored beside the masks decides where their surfaces are
    prediction, reference = prediction[box], reference[box]
    ignored = None if ignored is None else ignored[box]
    predicted, referred = int(np.count_nonzero(prediction)), int(np.count_nonzero(reference))
    common = int(np.count_nonzero(prediction & reference))
    (hd95, hd, assd, nsd), position = _distance_measures(prediction, reference, spacing, tolerance_mm, ignored)
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
    start = np.array([extent.start for extent in box], dtype=float)
    return measures, tuple(float(value) for value in start + position)  # type: ignore[return-value]


def _distance_measures(
    prediction: np.ndarray,
    reference: np.ndarray,
    spacing_mm: tuple[float, ...],
    tolerance_mm: float,
    ignored: np.ndarray | None,
) -> tuple[tuple[float, float, float, float], np.ndarray]:
    """HD95, HD, ASSD (mm) and NSD of two masks of which one at least has voxels, and the index of the largest error.

    Distances are infinite where one mask is empty, NaN where a mask has no surface that is not cut by what is ignored.
    """
    both = bool(prediction.any() and reference.any())
    distances = surface_distances(prediction, reference, spacing_mm, ignored) if both else None
    if distances is not None:
        values = distances.hausdorff_mm(95), distances.hausdorff_mm(), distances.average_mm()
        return (*values, distances.within(tolerance_mm)), np.array(distances.farthest)
    centroid = np.mean(np.nonzero(prediction | reference), axis=1)
    if both:
        return (math.nan, math.nan, math.nan, math.nan), centroid
    return (math.inf, math.inf, math.inf, 0.0), centroid


def _checked_spacing(prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float]) -> tuple[float, ...]:
    spacing = np.asarray(spacing_mm, dtype=float)
    if prediction.shape != reference.shape or prediction.ndim != 3:
        raise ValueError(f"masks of {prediction.shape} and {reference.shape}: two 3D masks of one grid are expected.")
    if spacing.shape != (3,) or not np.isfinite(spacing).all() or not (spacing > 0).all():
        raise ValueError(f"spacing {spacing_mm}: three positive numbers in mm (slice, row, column) are expected.")
    return tuple(float(value) for value in spacing)


def surface(mask: np.ndarray, spacing_mm: Sequence[float], ignored: np.ndarray | None = None) -> Surface:
    """Surface elements of a boolean mask with the area of each; the volume's border counts as outside.

    Elements that touch one of the voxels `ignored` are left out.
    """
    padded = np.pad(mask, 1)
    lowest, highest = padded, padded
    for axis in range(3):
        before, after = _halves(axis)
        lowest, highest = lowest[before] & lowest[after], highest[before] | highest[after]
    grid = highest ^ lowest
    if ignored is not None:
        grid &= ~_cells_at(np.pad(ignored, 1))
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
    its crossings are found on a grid of rays; each patch counts along the axis that its normal is closest to.
    """
    corners = (np.arange(256)[:, None] >> np.arange(8) & 1).astype(float).reshape(256, 2, 2, 2)
    ticks = (np.arange(samples) + 0.5) / samples
    u, v = (grid[None] for grid in np.meshgrid(ticks, ticks, indexing="ij"))
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
        # Where two components of the normal are equal, each of their axes counts half of the patch.
        rank = sum((np.isclose(along, np.abs(other)) for other in (along_u, along_v)), start=np.ones(along.shape))
        largest = (along >= np.abs(along_u) * (1 - 1e-6)) & (along >= np.abs(along_v) * (1 - 1e-6))
        length = np.sqrt(along**2 + along_u**2 + along_v**2) / along
        areas += (np.where(crossed & largest, length / rank, 0.0)).mean(axis=(1, 2)) * others[0] * others[1]
    return areas


def _halves(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    before = tuple(slice(None, -1) if other == axis else slice(None) for other in range(3))
    after = tuple(slice(1, None) if other == axis else slice(None) for other in range(3))
    return before, after


def _cells_at(padded: np.ndarray) -> np.ndarray:
    """Which cells (as `Surface.grid`) have a corner in the mask, which is padded by one voxel."""
    for axis in range(3):
        before, after = _halves(axis)
        padded = padded[before] | padded[after]
    return padded


def surface_distances(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float], ignored: np.ndarray | None = None
) -> SurfaceDistances | None:
    """Distances between the surfaces of two boolean masks of one grid, neither of them empty.

    None where one has no surface but at the voxels `ignored`.
    """
    ours, theirs = surface(prediction, spacing_mm, ignored), surface(reference, spacing_mm, ignored)
    if not (len(ours.cells) and len(theirs.cells)):
        return None
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

    SimpleITK's exact distance map (Maurer et al., IEEE TPAMI 25, 2003) of the target's elements, read at the source's.
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
    """Smallest of `values` (n,) that at least `percent` % of the total of `weights` (n,) does not exceed; 100 is the maximum."""
    if percent >= 100:
        return float(values.max())
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    rank = int(np.searchsorted(cumulative, percent / 100 * cumulative[-1]))
    return float(values[order[min(rank, len(order) - 1)]])


def count_components(mask: np.ndarray) -> int:
    """Number of connected components of a mask (26 neighbours)."""
    if not mask.any():
        return 0
    import SimpleITK as sitk

    label = sitk.ConnectedComponentImageFilter()
    label.SetFullyConnected(True)
    label.Execute(sitk.GetImageFromArray(np.ascontiguousarray(mask).view(np.uint8)))
    return int(label.GetObjectCount())
