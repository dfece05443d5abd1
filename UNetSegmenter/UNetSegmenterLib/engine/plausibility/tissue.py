"""Checks that need the scan or the network: HU inside a structure, its position in the body, confidence along its outline.

Of a scan whose values are not HU, only the edges are checked: they are compared with the values beside them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import SimpleITK as sitk

from .anatomy import Anatomy, StructureMask, VoxelIndex, densest_voxel
from .quantity import Quantity

HU_FIRST, HU_STEP, HU_BINS = -1024, 4, 1024
"""Histograms count HU in steps of 4 from -1024 to 3071; values outside count in the first or last bin."""

HOLDS_GAS = ("lung", "trachea", "stomach", "colon", "duodenum", "small intestine", "esophagus", "rectum", "bronch")
GAS_HU = -300
_SOFT_HU = (-150, 300)
_ALONG = {
    "height": "from its lower to its upper end",
    "depth": "from its front to its back",
    "width": "from its right to its left side",
}
_MARGIN = 3  # voxels around a structure that `edges` looks at


def histograms(anatomy: Anatomy) -> dict[str, np.ndarray]:
    """Number of voxels in each HU bin of every structure, (1024,)."""
    if anatomy.hu is None:
        return {}
    found = {}
    for name, organ in anatomy.present.items():
        values = anatomy.hu[organ.box][organ.mask]
        bins = np.clip((values.astype(np.int32) - HU_FIRST) // HU_STEP, 0, HU_BINS - 1)
        found[name] = np.bincount(bins, minlength=HU_BINS)
    return found


def drift(anatomy: Anatomy) -> list[Quantity]:
    """Correlation of HU with the position along each axis inside a structure, -1 to 1.

    Tissue of one organ is much the same on both its sides. A label that has slipped off its organ holds fat, air or a
    neighbour on one side. There is no published source. Fluid levels make it large in a stomach, which the training labels
    show.
    """
    if anatomy.hu is None:
        return []
    found = []
    for name, organ in anatomy.present.items():
        indices = np.nonzero(organ.mask)
        values = np.clip(anatomy.hu[organ.box][indices], *_SOFT_HU).astype(np.int64)
        for axis, (label, along) in enumerate(_ALONG.items()):
            # In whole numbers: the last digits of sums of floats differ from run to run, and so would the finding.
            product = _co_deviation(values, indices[axis])
            norm = math.sqrt(_co_deviation(values, values)) * math.sqrt(_co_deviation(indices[axis], indices[axis]))
            if norm > 0:
                layer = _most_deviating_layer(values, indices[axis], len(organ.profiles[axis]))
                voxel_index = organ.central_voxel_of_layer(axis, layer)
                found.append(Quantity("drift", name, product / norm, voxel_index, other=label, detail=along))
    return found


def _most_deviating_layer(values: np.ndarray, layer: np.ndarray, layers: int) -> int:
    """The layer that adds most to the variance between layers about the median; its HU are those of another tissue.

    The median is the organ's own as long as the organ fills most of the label; a mean would shift with the other tissue.
    """
    sums = np.bincount(layer, weights=values - np.median(values), minlength=layers)
    return int(np.argmax(sums**2 / np.maximum(np.bincount(layer, minlength=layers), 1)))


def _co_deviation(first: np.ndarray, second: np.ndarray) -> int:
    """n times the sum of products of the deviations of two integer arrays from their means, exactly."""
    return first.size * int(first @ second) - int(first.sum()) * int(second.sum())


def quantile(histogram: np.ndarray, fraction: float) -> float:
    """HU below which this fraction of the voxels lies, as the middle of its bin."""
    reached = np.searchsorted(np.cumsum(histogram), fraction * histogram.sum())
    return float(HU_FIRST + HU_STEP * (min(int(reached), HU_BINS - 1) + 0.5))


def tissue(histogram: np.ndarray, training: dict[str, Any] | None) -> list[tuple[str, float]]:
    """Median and range of HU, and the fractions of voxels far below and far above the median.

    The HU scale is quantitative (water 0, air -1000), so an organ has a range. The median moves with contrast agent; the
    fractions show labels that lie in fat, air or bone. HU are limited to the training scans' range first.

    Args:
        histogram: Voxels of one structure by HU bin, (1024,).
        training: HU statistics of the structure in the training scans; without them only the fraction of gas is measured.

    Returns:
        Pairs of a quantity's key and its value.
    """
    found = []
    centres = HU_FIRST + HU_STEP * (np.arange(HU_BINS) + 0.5)
    total = max(int(histogram.sum()), 1)
    if training is None:
        found.append(("gas", float(histogram[centres < GAS_HU].sum()) / total))
        return found
    limited = np.clip(centres, *training["range"])
    median = float(np.clip(quantile(histogram, 0.5), *training["range"]))
    found.append(("hu", median))
    found.append(("spread", quantile(histogram, 0.9) - quantile(histogram, 0.1)))
    found.append(("low hu", float(histogram[limited - median < training["p1"]].sum()) / total))
    found.append(("high hu", float(histogram[limited - median > training["p99"]].sum()) / total))
    return found


def deviating_voxel(anatomy: Anatomy, organ: StructureMask, key: str, training: dict[str, Any] | None) -> VoxelIndex:
    """The voxel with most others around it that count for the quantity `key`: "low hu", "high hu", "spread" or "gas"."""
    values = np.asarray(anatomy.hu[organ.box])  # type: ignore[index]
    if training is None or key == "gas":
        deviating = values < GAS_HU
    else:
        limited = np.clip(values, *training["range"])
        median = np.median(limited[organ.mask])
        low, high = limited - median < training["p1"], limited - median > training["p99"]
        deviating = {"low hu": low, "high hu": high, "spread": low | high}[key]
    deviating = deviating & organ.mask
    return organ.to_working_grid(*densest_voxel(deviating)) if deviating.any() else organ.central_voxel


def in_body(anatomy: Anatomy) -> list[Quantity]:
    """Position of the centroid as a fraction of the body's depth and width, where the field of view holds all of the body."""
    found = []
    for axis, label, side in ((1, "depth", "front"), (2, "width", "right side")):
        extent_mm = anatomy.body_mm[axis]
        if extent_mm is None or extent_mm[1] - extent_mm[0] < 50:
            continue
        for name, organ in anatomy.present.items():
            fraction = (anatomy.to_mm(organ.centroid)[axis] - extent_mm[0]) / (extent_mm[1] - extent_mm[0])
            detail = f"{label}, counted from its {side}"
            found.append(Quantity("in body", name, float(fraction), organ.central_voxel, other=label, detail=detail))
    return found


def confidence(anatomy: Anatomy) -> list[Quantity]:
    """Mean of the network's largest probability on both sides of the outline, stored when the network made the segmentation.

    Low confidence at the boundary goes with low Dice (Jungo and Reyes, MICCAI 2019); a confident network can be wrong.
    """
    return [
        Quantity("confidence", name, anatomy.confidence[name], organ.central_voxel)
        for name, organ in anatomy.present.items()
        if name in anatomy.confidence
    ]


def edges(anatomy: Anatomy) -> list[Quantity]:
    """Fraction of the voxels just outside the structure, and in no other one, whose values are those of its inside.

    An organ ends where its tissue ends. Where the border was drawn through an organ, or a label has slipped, the tissue goes on.
    """
    if anatomy.scan is None:
        return []
    found = []
    for name, organ in anatomy.present.items():
        inside = anatomy.scan[organ.box][organ.mask]
        low, high = np.percentile(inside, (15, 85))
        first = np.maximum(np.subtract(organ.corner, _MARGIN), 0)
        last = np.minimum(np.add(organ.corner, organ.mask.shape) + _MARGIN, anatomy.shape)
        window = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        mask = np.zeros(np.subtract(last, first), bool)
        offset = np.subtract(organ.corner, first)
        mask[tuple(slice(o, o + n) for o, n in zip(offset, organ.mask.shape, strict=True))] = organ.mask
        ring = _dilated(mask, _MARGIN) & ~_dilated(mask, 1) & (anatomy.labels[window] == 0)
        around = np.asarray(anatomy.scan[window])
        alike = ring & (around >= low) & (around <= high)
        count = int(np.count_nonzero(ring))
        if count >= 50:
            voxel_index = organ.central_voxel
            if alike.any():
                voxel_index = tuple(float(a + v) for a, v in zip(first, densest_voxel(alike), strict=True))  # type: ignore[assignment]
            found.append(Quantity("edge", name, np.count_nonzero(alike) / count, voxel_index))
    return found


def _dilated(mask: np.ndarray, radius: int) -> np.ndarray:
    image = sitk.GetImageFromArray(mask.view(np.uint8))
    return sitk.GetArrayFromImage(sitk.BinaryDilate(image, (radius, radius, 1), sitk.sitkBox)).view(np.bool_)
