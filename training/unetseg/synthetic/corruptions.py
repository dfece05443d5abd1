"""Deliberate corruptions of a segmentation, which the plausibility checks are measured on.

Each takes a segmentation and a random generator and returns the corrupted one with the names of the changed structures, or None
where it does not apply (nothing to swap, no free space to shift into). They imitate errors in practice: a flipped header, a
permuted channel, a network that misses an organ or a few slices, leaks, or stops half way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.bounding_boxes import bounding_box
from UNetSegmenterLib.engine.labels.segmentation import Segmentation

_SMALLEST_VOXELS = 60


@dataclass(frozen=True)
class CorruptedSegmentation:
    """A corrupted segmentation and the names of the changed structures (all of them if the whole stack is reversed)."""

    segmentation: Segmentation
    structures: tuple[str, ...]


Corruption = Callable[[Segmentation, np.random.Generator], CorruptedSegmentation | None]


def mirrored(segmentation: Segmentation, _random: np.random.Generator) -> CorruptedSegmentation:
    """Left and right exchanged, as by a header with the wrong sign."""
    return _reversed_stack(segmentation, 2)


def upside_down(segmentation: Segmentation, _random: np.random.Generator) -> CorruptedSegmentation:
    """The stack of slices in reverse order."""
    return _reversed_stack(segmentation, 0)


def swapped(segmentation: Segmentation, random: np.random.Generator) -> CorruptedSegmentation | None:
    """The labels of two structures exchanged."""
    names = _present_structures(segmentation)
    if len(names) < 2:
        return None
    first, second = (int(i) for i in random.choice(sorted(names), 2, replace=False))
    table = np.arange(256, dtype=np.uint8)
    table[[first, second]] = second, first
    return CorruptedSegmentation(_with_labels(segmentation, table[segmentation.labels]), (names[first], names[second]))


def removed(segmentation: Segmentation, random: np.random.Generator) -> CorruptedSegmentation | None:
    """One structure removed."""
    index, name = _random_structure(segmentation, random)
    return CorruptedSegmentation(
        _with_labels(segmentation, np.where(segmentation.labels == index, 0, segmentation.labels)), (name,)
    )


def fused(segmentation: Segmentation, random: np.random.Generator) -> CorruptedSegmentation | None:
    """Two neighbours under one label: a structure gets the label of the one with the nearest centre."""
    names = _present_structures(segmentation)
    if len(names) < 2:
        return None
    taken = int(random.choice(sorted(names)))
    centres = {i: np.argwhere(segmentation.labels == i).mean(axis=0) * segmentation.geometry.spacing_mm for i in names}
    into = min((i for i in names if i != taken), key=lambda i: float(np.linalg.norm(centres[i] - centres[taken])))
    labels = np.where(segmentation.labels == taken, np.uint8(into), segmentation.labels)
    return CorruptedSegmentation(_with_labels(segmentation, labels), (names[taken], names[into]))


def slices_dropped(segmentation: Segmentation, random: np.random.Generator) -> CorruptedSegmentation | None:
    """Two to four slices in the middle of one structure empty."""
    index, name = _random_structure(segmentation, random)
    labels, axial = _copied_labels(segmentation)
    filled = np.flatnonzero((axial == index).any(axis=(1, 2)))
    count = int(random.integers(2, 5))
    if len(filled) < count + 4:
        return None
    start = filled[0] + 2 + int(random.integers(0, len(filled) - count - 3))
    block = axial[start : start + count]
    block[block == index] = 0
    return CorruptedSegmentation(_with_labels(segmentation, labels), (name,))


def small_component(segmentation: Segmentation, random: np.random.Generator) -> CorruptedSegmentation | None:
    """A component of 1 ml, a ball in the background at least 30 mm away from the structure."""
    index, name = _random_structure(segmentation, random)
    labels, axial = _copied_labels(segmentation)
    spacing = np.array(segmentation.geometry.axial_spacing_mm)
    radius = (3000 / (4 * np.pi)) ** (1 / 3)
    organ = np.argwhere(axial == index)[::7] * spacing
    for _ in range(200):
        centre = random.uniform(radius, np.array(axial.shape) * spacing - radius)
        if np.linalg.norm(organ - centre, axis=1).min() < 30 + radius:
            continue
        ball, window = _ball(axial.shape, spacing, centre, radius)
        if not axial[window][ball].any():
            axial[window][ball] = index
            return CorruptedSegmentation(_with_labels(segmentation, labels), (name,))
    return None


def hole(segmentation: Segmentation, random: np.random.Generator) -> CorruptedSegmentation | None:
    """A ball of background deep inside a structure: 1 ml, or what fits; None where not even 0.5 ml fits."""
    names = _present_structures(segmentation)
    labels, axial = _copied_labels(segmentation)
    spacing = np.array(segmentation.geometry.axial_spacing_mm)
    margin = float(spacing.max())
    for index in random.permutation(sorted(names)):
        box = bounding_box(axial == index)
        assert box is not None, "only structures that are present are drawn"
        depth = _depth_mm(axial[box] == index, spacing)
        radius = min((3000 / (4 * np.pi)) ** (1 / 3), float(depth.max()) - margin)
        if radius < 4.93:  # 0.5 ml
            continue
        deep = np.argwhere(depth > radius + 0.99 * margin)
        if not len(deep):
            continue
        centre = (deep[random.integers(len(deep))] + [part.start for part in box]) * spacing
        ball, window = _ball(axial.shape, spacing, centre, radius)
        axial[window][ball] = 0
        return CorruptedSegmentation(_with_labels(segmentation, labels), (names[int(index)],))
    return None


def shifted(segmentation: Segmentation, random: np.random.Generator) -> CorruptedSegmentation | None:
    """One structure moved by 20 mm in a random direction; the other structures keep their voxels."""
    index, name = _random_structure(segmentation, random)
    labels, axial = _copied_labels(segmentation)
    spacing = np.array(segmentation.geometry.axial_spacing_mm)
    direction = random.normal(size=3)
    offset = np.rint(20 * direction / np.linalg.norm(direction) / spacing).astype(int)
    voxels = np.argwhere(axial == index)
    axial[tuple(voxels.T)] = 0
    moved = voxels + offset
    moved = moved[((moved >= 0) & (moved < axial.shape)).all(axis=1)]
    free = moved[axial[tuple(moved.T)] == 0]
    axial[tuple(free.T)] = index
    return CorruptedSegmentation(_with_labels(segmentation, labels), (name,)) if len(free) else None


def halved(segmentation: Segmentation, random: np.random.Generator) -> CorruptedSegmentation | None:
    """Half of one structure's voxels removed: one side of a plane across a random axis of the patient."""
    return _halved(segmentation, random, np.eye(3)[random.integers(3)] * random.choice((-1, 1)))


def halved_obliquely(segmentation: Segmentation, random: np.random.Generator) -> CorruptedSegmentation | None:
    """Half of one structure's voxels removed: one side of a plane of random orientation."""
    return _halved(segmentation, random, random.normal(size=3))


def _halved(segmentation: Segmentation, random: np.random.Generator, normal: np.ndarray) -> CorruptedSegmentation:
    index, name = _random_structure(segmentation, random)
    labels, axial = _copied_labels(segmentation)
    voxels = np.argwhere(axial == index)
    along = voxels * segmentation.geometry.axial_spacing_mm @ normal
    axial[tuple(voxels[along > np.median(along)].T)] = 0
    return CorruptedSegmentation(_with_labels(segmentation, labels), (name,))


CORRUPTIONS: dict[str, Corruption] = {
    "mirrored left-right": mirrored,
    "two structures swapped": swapped,
    "a structure removed": removed,
    "slices dropped in the middle": slices_dropped,
    "a component of 1 ml far away": small_component,
    "a hole": hole,
    "a 20 mm shift": shifted,
    "half a structure cut off": halved,
    "half cut off obliquely": halved_obliquely,
    "two structures fused": fused,
    "upside-down stack": upside_down,
}

WHOLE_STACK = {"mirrored left-right": 2, "upside-down stack": 0}
"""Corruptions of the whole stack and the axis of the axial view they reverse: a wrong header turns scan and labels alike."""


def _present_structures(segmentation: Segmentation) -> dict[int, str]:
    """Structures of more than a few voxels, index to name."""
    counts = np.bincount(segmentation.labels.ravel(), minlength=256)
    return {s.index: s.name for s in segmentation.structures if counts[s.index] >= _SMALLEST_VOXELS}


def _random_structure(segmentation: Segmentation, random: np.random.Generator) -> tuple[int, str]:
    names = _present_structures(segmentation)
    index = int(random.choice(sorted(names)))
    return index, names[index]


def _with_labels(segmentation: Segmentation, labels: np.ndarray) -> Segmentation:
    return replace(segmentation, labels=np.ascontiguousarray(labels), overlaps={})


def _copied_labels(segmentation: Segmentation) -> tuple[np.ndarray, np.ndarray]:
    """A writable copy of the labels and its axial view."""
    labels = segmentation.labels.copy()
    return labels, segmentation.geometry.to_axial(labels)


def reverse_axis(array: np.ndarray, geometry: Geometry, axis: int) -> np.ndarray:
    """The array (slices, rows, columns) with one axis of its axial view reversed, on the same grid."""
    turned = np.empty_like(array)
    geometry.to_axial(turned)[...] = np.flip(geometry.to_axial(array), axis)
    return turned


def _reversed_stack(segmentation: Segmentation, axis: int) -> CorruptedSegmentation:
    labels = reverse_axis(segmentation.labels, segmentation.geometry, axis)
    return CorruptedSegmentation(_with_labels(segmentation, labels), tuple(_present_structures(segmentation).values()))


def _depth_mm(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance in mm from the mask's outside, for a mask cropped to its box."""
    image = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
    image.SetSpacing([float(step) for step in spacing[::-1]])
    distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return -sitk.GetArrayFromImage(distance)[1:-1, 1:-1, 1:-1]


def _ball(
    shape: tuple[int, ...], spacing: np.ndarray, centre_mm: np.ndarray, radius_mm: float
) -> tuple[np.ndarray, tuple[slice, ...]]:
    """A ball as a boolean array, and the part of the volume that the array covers."""
    low = np.maximum(np.floor((centre_mm - radius_mm) / spacing).astype(int), 0)
    high = np.minimum(np.ceil((centre_mm + radius_mm) / spacing).astype(int) + 1, shape)
    axes = [np.arange(a, b) * step - c for a, b, step, c in zip(low, high, spacing, centre_mm, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return x**2 + y**2 + z**2 <= radius_mm**2, tuple(slice(a, b) for a, b in zip(low, high, strict=True))
