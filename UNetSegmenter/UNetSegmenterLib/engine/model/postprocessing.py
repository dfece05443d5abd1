"""Postprocessing that a card asks for: components that are removed and cavities that are filled, structure by structure.

A cross-validation finds where that helps (`unetseg cross-validate`; nnU-Net's writes it into `postprocessing.json`), and its
evidence stands beside each step of the card. Volumes are in ml, so that a step means the same at every spacing.

Voxels of a structure are connected if they share a face, an edge or a corner, as in nnU-Net; those outside of it only if they
share a face, so that no path leaves a cavity through a wall that touches itself at an edge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..labels.bounding_boxes import Box, bounding_box, label_boxes
from ..labels.postprocessing_change import PostprocessingChange
from .postprocessing_steps import CAVITIES, LARGEST, SMALL, structures_of

Changes = dict[int, PostprocessingChange]


def postprocess(labels: np.ndarray, steps: Sequence[Mapping[str, Any]], voxel_ml: float) -> Changes:
    """Carry out the steps of a card, in place and in their order.

    Args:
        labels: (slices, rows, columns) uint8 of class indices; 0 is background.
        steps: the card's `postprocessing`.
        voxel_ml: volume of a voxel.

    Returns:
        What changed, by structure index; structures of which nothing changed are left out.
    """
    found: Changes = {}
    if not steps:
        return found
    boxes = label_boxes(labels, sorted({index for step in steps for index in structures_of(step)}))
    for step in steps:
        present = [index for index in structures_of(step) if index in boxes]
        for index, change in _changes(labels, step, present, boxes, voxel_ml).items():
            found[index] = found.get(index, PostprocessingChange()) + change
    return {index: change for index, change in found.items() if change}


def _changes(
    labels: np.ndarray, step: Mapping[str, Any], indices: Sequence[int], boxes: dict[int, Box], voxel_ml: float
) -> Changes:
    """What one step changes; `boxes`, the bounding boxes of the structures, shrink with them."""
    if LARGEST in step and len(indices) > 1:
        return keep_largest_component(labels, indices, voxel_ml)
    changes = {}
    for index in indices:
        inside = labels[boxes[index]]
        if CAVITIES in step:
            changes[index] = fill_cavities(inside, index, voxel_ml)
            continue
        changes[index] = remove_small_components(inside, index, step.get(SMALL, math.inf), voxel_ml)
        if changes[index] and (box := bounding_box(inside == index)) is not None:
            boxes[index] = _within(boxes[index], box)
    return changes


def keep_largest_component(labels: np.ndarray, indices: Sequence[int], voxel_ml: float) -> Changes:
    """Set to background what belongs to `indices` but not to the largest component of their union, in place.

    Of several components of the largest size all are kept, as in nnU-Net.

    Args:
        labels: (slices, rows, columns) uint8 of class indices; 0 is background.
        indices: structures that count as one.
        voxel_ml: volume of a voxel.

    Returns:
        What each structure lost.
    """
    chosen = np.zeros(256, dtype=bool)
    chosen[list(indices)] = True
    mask = chosen[labels]
    if (box := bounding_box(mask)) is None:
        return {}
    inside = labels[box]
    voxels, components = _removed(mask[box], math.inf)
    lost, of = inside[voxels], {}
    for index in indices:
        numbers = components[lost == index]
        of[index] = PostprocessingChange(removed=len(np.unique(numbers)), removed_ml=len(numbers) * voxel_ml)
    inside[voxels] = 0
    return of


def remove_small_components(
    labels: np.ndarray, index: int, smaller_than_ml: float, voxel_ml: float
) -> PostprocessingChange:
    """Set the components of a structure that are smaller than a volume to background, in place; its largest always stays.

    So no structure vanishes where the scan shows a small part of it only.

    Args:
        labels: (slices, rows, columns) uint8 of class indices; 0 is background.
        index: the structure.
        smaller_than_ml: components of this volume or more stay.
        voxel_ml: volume of a voxel.
    """
    voxels, components = _removed(labels == index, smaller_than_ml / voxel_ml)
    labels[voxels] = 0
    return PostprocessingChange(removed=len(np.unique(components)), removed_ml=len(components) * voxel_ml)


def fill_cavities(labels: np.ndarray, index: int, voxel_ml: float) -> PostprocessingChange:
    """Give a structure the background that it encloses on all sides, in place.

    What another structure has in a cavity stays; what reaches the end of the scan is no cavity.

    Args:
        labels: (slices, rows, columns) uint8 of class indices: the box around the structure, or more.
        index: the structure.
        voxel_ml: volume of a voxel.
    """
    outside = connected_components(labels != index, by_faces=True)
    faces = [outside.take(end, axis=axis) for axis in range(3) for end in (0, -1)]
    open_ones = set(np.concatenate([np.unique(face) for face in faces]).tolist())
    if len(open_ones | {0}) > int(outside.max()):
        return PostprocessingChange()
    enclosed = outside > 0
    for number in open_ones:
        enclosed &= outside != number
    voxels = np.nonzero(enclosed)
    voxels = tuple(axis[labels[voxels] == 0] for axis in voxels)
    filled = outside[voxels]
    labels[voxels] = index
    return PostprocessingChange(filled=len(np.unique(filled)), filled_ml=len(filled) * voxel_ml)


def connected_components(mask: np.ndarray, by_faces: bool = False) -> np.ndarray:
    """Numbers of the connected components of a mask, from 1 on; uint32 (slices, rows, columns), 0 outside the mask.

    Args:
        mask: bool (slices, rows, columns).
        by_faces: voxels are connected only if they share a face; otherwise also if they share an edge or a corner.
    """
    import SimpleITK as sitk  # here, so that machines without it train, and predict where no card asks for this

    image = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.view(np.uint8)), not by_faces)
    return sitk.GetArrayFromImage(image)


def _removed(mask: np.ndarray, smaller_than: float) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Voxels of the components of fewer voxels than `smaller_than` and than the largest one, and each one's component."""
    components = connected_components(mask)
    voxels = np.flatnonzero(mask)
    number = components.reshape(-1)[voxels]
    sizes = np.bincount(number)
    small = sizes < min(smaller_than, sizes.max(initial=0))
    small[:1] = False
    removed = small[number] if small.any() else np.zeros(0, dtype=np.intp)
    return np.unravel_index(voxels[removed], mask.shape), number[removed]


def _within(outer: Box, inner: Box) -> Box:
    """A box that is given within another one, in the array of the other one."""
    slices, rows, columns = (
        slice(one.start + part.start, one.start + part.stop) for one, part in zip(outer, inner, strict=True)
    )
    return slices, rows, columns
