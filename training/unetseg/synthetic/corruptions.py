"""Deliberate corruptions of a segmentation: what the plausibility checks are measured on.

Each takes a segmentation and a random generator and returns the corrupted one with the structures it touched, or None where the
segmentation has no place for it (nothing to swap, no room to shift into). They imitate what goes wrong in practice: a
flipped header, a permuted channel, a network that loses an organ or a few slices, leaks, or stops half way.
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
class Corrupted:
    """A corrupted segmentation and the names of the structures that were changed (all of them where it is global)."""

    segmentation: Segmentation
    structures: tuple[str, ...]


Corruption = Callable[[Segmentation, np.random.Generator], Corrupted | None]


def mirrored(segmentation: Segmentation, _random: np.random.Generator) -> Corrupted:
    """Left and right exchanged, as by a header with the wrong sign."""
    return _whole(segmentation, 2)


def upside_down(segmentation: Segmentation, _random: np.random.Generator) -> Corrupted:
    """The stack of slices in reverse order."""
    return _whole(segmentation, 0)


def swapped(segmentation: Segmentation, random: np.random.Generator) -> Corrupted | None:
    """The labels of two structures exchanged."""
    names = _present(segmentation)
    if len(names) < 2:
        return None
    first, second = (int(i) for i in random.choice(sorted(names), 2, replace=False))
    table = np.arange(256, dtype=np.uint8)
    table[[first, second]] = second, first
    return Corrupted(_with(segmentation, table[segmentation.labels]), (names[first], names[second]))


def removed(segmentation: Segmentation, random: np.random.Generator) -> Corrupted | None:
    """One structure gone."""
    index, name = _one(segmentation, random)
    return Corrupted(_with(segmentation, np.where(segmentation.labels == index, 0, segmentation.labels)), (name,))


def fused(segmentation: Segmentation, random: np.random.Generator) -> Corrupted | None:
    """Two neighbours under one label: the smaller structure takes the name of the one it touches most, or lies nearest to."""
    names = _present(segmentation)
    if len(names) < 2:
        return None
    taken = int(random.choice(sorted(names)))
    centres = {i: np.argwhere(segmentation.labels == i).mean(axis=0) * segmentation.geometry.spacing_mm for i in names}
    into = min((i for i in names if i != taken), key=lambda i: float(np.linalg.norm(centres[i] - centres[taken])))
    labels = np.where(segmentation.labels == taken, np.uint8(into), segmentation.labels)
    return Corrupted(_with(segmentation, labels), (names[taken], names[into]))


def slices_dropped(segmentation: Segmentation, random: np.random.Generator) -> Corrupted | None:
    """Two to four slices in the middle of one structure empty."""
    index, name = _one(segmentation, random)
    labels, axial = _copy(segmentation)
    filled = np.flatnonzero((axial == index).any(axis=(1, 2)))
    count = int(random.integers(2, 5))
    if len(filled) < count + 4:
        return None
    start = filled[0] + 2 + int(random.integers(0, len(filled) - count - 3))
    block = axial[start : start + count]
    block[block == index] = 0
    return Corrupted(_with(segmentation, labels), (name,))


def speck(segmentation: Segmentation, random: np.random.Generator) -> Corrupted | None:
    """A ball of 1 ml at least 30 mm away from the structure, in the background."""
    index, name = _one(segmentation, random)
    labels, axial = _copy(segmentation)
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
            return Corrupted(_with(segmentation, labels), (name,))
    return None


def hole(segmentation: Segmentation, random: np.random.Generator) -> Corrupted | None:
    """A ball of background deep inside a structure: 1 ml, or what fits; None where not even 0.5 ml fits."""
    names = _present(segmentation)
    labels, axial = _copy(segmentation)
    spacing = np.array(segmentation.geometry.axial_spacing_mm)
    margin = float(spacing.max())
    for index in random.permutation(sorted(names)):
        box = bounding_box(axial == index)
        assert box is not None, "only structures that are present are drawn"
        depth = _depth(axial[box] == index, spacing)
        radius = min((3000 / (4 * np.pi)) ** (1 / 3), float(depth.max()) - margin)
        if radius < 4.93:  # 0.5 ml
            continue
        deep = np.argwhere(depth > radius + 0.99 * margin)
        if not len(deep):
            continue
        centre = (deep[random.integers(len(deep))] + [part.start for part in box]) * spacing
        ball, window = _ball(axial.shape, spacing, centre, radius)
        axial[window][ball] = 0
        return Corrupted(_with(segmentation, labels), (names[int(index)],))
    return None


def shifted(segmentation: Segmentation, random: np.random.Generator) -> Corrupted | None:
    """One structure moved by 20 mm in a random direction; it gives way to the others where it meets them."""
    index, name = _one(segmentation, random)
    labels, axial = _copy(segmentation)
    spacing = np.array(segmentation.geometry.axial_spacing_mm)
    direction = random.normal(size=3)
    offset = np.rint(20 * direction / np.linalg.norm(direction) / spacing).astype(int)
    places = np.argwhere(axial == index)
    axial[tuple(places.T)] = 0
    moved = places + offset
    moved = moved[((moved >= 0) & (moved < axial.shape)).all(axis=1)]
    free = moved[axial[tuple(moved.T)] == 0]
    axial[tuple(free.T)] = index
    return Corrupted(_with(segmentation, labels), (name,)) if len(free) else None


def halved(segmentation: Segmentation, random: np.random.Generator) -> Corrupted | None:
    """Half of one structure's voxels gone: one side of a plane across a random axis of the patient."""
    return _halved(segmentation, random, np.eye(3)[random.integers(3)] * random.choice((-1, 1)))


def halved_obliquely(segmentation: Segmentation, random: np.random.Generator) -> Corrupted | None:
    """Half of one structure's voxels gone: one side of a plane that lies anyhow."""
    return _halved(segmentation, random, random.normal(size=3))


def _halved(segmentation: Segmentation, random: np.random.Generator, normal: np.ndarray) -> Corrupted:
    index, name = _one(segmentation, random)
    labels, axial = _copy(segmentation)
    places = np.argwhere(axial == index)
    along = places * segmentation.geometry.axial_spacing_mm @ normal
    axial[tuple(places[along > np.median(along)].T)] = 0
    return Corrupted(_with(segmentation, labels), (name,))


CORRUPTIONS: dict[str, Corruption] = {
    "mirrored left-right": mirrored,
    "two structures swapped": swapped,
    "a structure removed": removed,
    "slices dropped in the middle": slices_dropped,
    "a speck of 1 ml far away": speck,
    "a hole": hole,
    "a 20 mm shift": shifted,
    "half a structure cut off": halved,
    "half cut off obliquely": halved_obliquely,
    "two structures fused": fused,
    "upside-down stack": upside_down,
}

GLOBAL = {"mirrored left-right": 2, "upside-down stack": 0}
"""Corruptions of the whole stack and the axis of the axial view they reverse: a wrong header turns scan and labels alike."""


def _present(segmentation: Segmentation) -> dict[int, str]:
    """Structures of more than a few voxels, index to name."""
    counts = np.bincount(segmentation.labels.ravel(), minlength=256)
    return {s.index: s.name for s in segmentation.structures if counts[s.index] >= _SMALLEST_VOXELS}


def _one(segmentation: Segmentation, random: np.random.Generator) -> tuple[int, str]:
    names = _present(segmentation)
    index = int(random.choice(sorted(names)))
    return index, names[index]


def _with(segmentation: Segmentation, labels: np.ndarray) -> Segmentation:
    return replace(segmentation, labels=np.ascontiguousarray(labels), overlaps={})


def _copy(segmentation: Segmentation) -> tuple[np.ndarray, np.ndarray]:
    """A writable copy of the labels and its axial view."""
    labels = segmentation.labels.copy()
    return labels, segmentation.geometry.to_axial(labels)


def reversed_along(array: np.ndarray, geometry: Geometry, axis: int) -> np.ndarray:
    """The array (slices, rows, columns) with one axis of its axial view reversed, on the same grid."""
    turned = np.empty_like(array)
    geometry.to_axial(turned)[...] = np.flip(geometry.to_axial(array), axis)
    return turned


def _whole(segmentation: Segmentation, axis: int) -> Corrupted:
    labels = reversed_along(segmentation.labels, segmentation.geometry, axis)
    return Corrupted(_with(segmentation, labels), tuple(_present(segmentation).values()))


def _depth(mask: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Distance in mm from the mask's outside, for a mask cropped to its box."""
    image = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
    image.SetSpacing([float(step) for step in spacing[::-1]])
    distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return -sitk.GetArrayFromImage(distance)[1:-1, 1:-1, 1:-1]


def _ball(
    shape: tuple[int, ...], spacing: np.ndarray, centre_mm: np.ndarray, radius_mm: float
) -> tuple[np.ndarray, tuple[slice, ...]]:
    """A ball as a boolean window and where the window lies."""
    low = np.maximum(np.floor((centre_mm - radius_mm) / spacing).astype(int), 0)
    high = np.minimum(np.ceil((centre_mm + radius_mm) / spacing).astype(int) + 1, shape)
    axes = [np.arange(a, b) * step - c for a, b, step, c in zip(low, high, spacing, centre_mm, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return x**2 + y**2 + z**2 <= radius_mm**2, tuple(slice(a, b) for a, b in zip(low, high, strict=True))
