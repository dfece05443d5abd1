"""Checks that need the scan, HU inside a structure and its place in the body, and how sure the network was at its outline."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import SimpleITK as sitk

from .anatomy import Anatomy, Part, Place, densest
from .quantity import Quantity

HU_FIRST, HU_STEP, HU_BINS = -1024, 4, 1024
"""Histograms count HU in steps of 4 from -1024 to 3071; what lies outside counts at the ends."""

HOLDS_GAS = ("lung", "trachea", "stomach", "colon", "duodenum", "small intestine", "esophagus", "rectum", "bronch")
GAS_HU = -300
_SOFT_HU = (-150, 300)
_ALONG = {
    "height": "from its lower to its upper end",
    "depth": "from its front to its back",
    "width": "from its right to its left side",
}


def histograms(anatomy: Anatomy) -> dict[str, np.ndarray]:
    """Voxels a HU bin of every structure, (1024,)."""
    if anatomy.hu is None:
        return {}
    found = {}
    for name, part in anatomy.parts.items():
        values = anatomy.hu[part.box][part.mask]
        bins = np.clip((values.astype(np.int32) - HU_FIRST) // HU_STEP, 0, HU_BINS - 1)
        found[name] = np.bincount(bins, minlength=HU_BINS)
    return found


def drift(anatomy: Anatomy) -> list[Quantity]:
    """Correlation of HU with the place along each axis inside a structure, -1 to 1.

    Tissue of one organ is much the same on both its sides. A label that has slipped off its organ holds fat, air or a
    neighbour on one side. No source; fluid levels make it large in a stomach, which the training labels tell.
    """
    if anatomy.hu is None:
        return []
    found = []
    for name, part in anatomy.parts.items():
        where = np.nonzero(part.mask)
        values = np.clip(anatomy.hu[part.box][where], *_SOFT_HU).astype(np.int64)
        for axis, (label, along) in enumerate(_ALONG.items()):
            # In whole numbers: sums of floats end in other digits from run to run, and so would the finding.
            product = _co_deviation(values, where[axis])
            norm = math.sqrt(_co_deviation(values, values)) * math.sqrt(_co_deviation(where[axis], where[axis]))
            if norm > 0:
                odd = _oddest_layer(values, where[axis], len(part.profiles[axis]))
                place = part.in_layer(axis, odd)
                found.append(Quantity("drift", name, product / norm, place, other=label, detail=along))
    return found


def _oddest_layer(values: np.ndarray, layer: np.ndarray, layers: int) -> int:
    """The layer that adds most to the variance between layers, about the median: where HU are those of something else.

    The median is the organ's own as long as it holds most of the label; a mean would blame the organ too.
    """
    sums = np.bincount(layer, weights=values - np.median(values), minlength=layers)
    return int(np.argmax(sums**2 / np.maximum(np.bincount(layer, minlength=layers), 1)))


def _co_deviation(first: np.ndarray, second: np.ndarray) -> int:
    """n times the sum of products of the deviations of two integer arrays from their means, exactly."""
    return first.size * int(first @ second) - int(first.sum()) * int(second.sum())


def percentile(histogram: np.ndarray, share: float) -> float:
    """HU below which that share of the voxels lies, to the bin's middle."""
    reached = np.searchsorted(np.cumsum(histogram), share * histogram.sum())
    return float(HU_FIRST + HU_STEP * (min(int(reached), HU_BINS - 1) + 0.5))


def tissue(histogram: np.ndarray, learnt: dict[str, Any] | None) -> list[tuple[str, float]]:
    """Median HU, and with `learnt` the shares of voxels far below and above the median, as far as hardly any in training.

    The HU scale is quantitative (water 0, air -1000), so an organ has a range. The median moves with contrast agent; the
    shares of odd voxels show labels that lie in fat, air or bone. HU are limited to the training scans' range first.
    """
    found = []
    centres = HU_FIRST + HU_STEP * (np.arange(HU_BINS) + 0.5)
    total = max(int(histogram.sum()), 1)
    if learnt is None:
        found.append(("gas", float(histogram[centres < GAS_HU].sum()) / total))
        return found
    limited = np.clip(centres, *learnt["range"])
    median = float(np.clip(percentile(histogram, 0.5), *learnt["range"]))
    found.append(("hu", median))
    found.append(("spread", percentile(histogram, 0.9) - percentile(histogram, 0.1)))
    found.append(("low hu", float(histogram[limited - median < learnt["p1"]].sum()) / total))
    found.append(("high hu", float(histogram[limited - median > learnt["p99"]].sum()) / total))
    return found


def odd_voxel(anatomy: Anatomy, part: Part, key: str, learnt: dict[str, Any] | None) -> Place:
    """Where most of the voxels lie that make up `key` ("low hu", "high hu", "spread" or "gas"): a voxel among them."""
    values = np.asarray(anatomy.hu[part.box])  # type: ignore[index]
    if learnt is None or key == "gas":
        odd = values < GAS_HU
    else:
        limited = np.clip(values, *learnt["range"])
        median = np.median(limited[part.mask])
        low, high = limited - median < learnt["p1"], limited - median > learnt["p99"]
        odd = {"low hu": low, "high hu": high, "spread": low | high}[key]
    odd = odd & part.mask
    return part.place(*densest(odd)) if odd.any() else part.middle


def in_body(anatomy: Anatomy) -> list[Quantity]:
    """Centroid as a share of the body's depth and width, where the field of view holds all of it."""
    found = []
    for axis, label, side in ((1, "depth", "front"), (2, "width", "right side")):
        span = anatomy.body_mm[axis]
        if span is None or span[1] - span[0] < 50:
            continue
        for name, part in anatomy.parts.items():
            share = (anatomy.mm(part.centroid)[axis] - span[0]) / (span[1] - span[0])
            detail = f"{label}, counted from its {side}"
            found.append(Quantity("in body", name, float(share), part.middle, other=label, detail=detail))
    return found


def confidence(anatomy: Anatomy) -> list[Quantity]:
    """Mean of the network's largest probability on both sides of the outline, as it was when the network drew it.

    Low confidence at the boundary goes with low Dice (Jungo and Reyes, MICCAI 2019); a network can be sure and wrong.
    """
    return [
        Quantity("confidence", name, anatomy.confidence[name], part.middle)
        for name, part in anatomy.parts.items()
        if name in anatomy.confidence
    ]


def edges(anatomy: Anatomy) -> list[Quantity]:
    """Share of the voxels just outside the structure, and in no other one, whose HU are those of its inside.

    An organ ends where its tissue ends. Where the border was drawn through an organ, or a label has slipped, the tissue goes on.
    """
    if anatomy.hu is None:
        return []
    found = []
    for name, part in anatomy.parts.items():
        inside = anatomy.hu[part.box][part.mask]
        low, high = np.percentile(inside, (15, 85))
        first, last = _padded_box(part, anatomy.shape)
        window = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        mask = np.zeros(np.subtract(last, first), bool)
        offset = np.subtract(part.corner, first)
        mask[tuple(slice(o, o + n) for o, n in zip(offset, part.mask.shape, strict=True))] = part.mask
        ring = _grown(mask, 3) & ~_grown(mask, 1) & (anatomy.labels[window] == 0)
        around = np.asarray(anatomy.hu[window])
        alike = ring & (around >= low) & (around <= high)
        count = int(np.count_nonzero(ring))
        if count >= 50:
            place = (
                tuple(float(a + v) for a, v in zip(first, densest(alike), strict=True)) if alike.any() else part.middle
            )
            found.append(Quantity("edge", name, np.count_nonzero(alike) / count, place))  # type: ignore[arg-type]
    return found


def _padded_box(part: Part, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    first = np.maximum(np.subtract(part.corner, 3), 0)
    return first, np.minimum(np.add(part.corner, part.mask.shape) + 3, shape)


def _grown(mask: np.ndarray, radius: int) -> np.ndarray:
    image = sitk.GetImageFromArray(mask.view(np.uint8))
    return sitk.GetArrayFromImage(sitk.BinaryDilate(image, (radius, radius, 1), sitk.sitkBox)).view(np.bool_)
