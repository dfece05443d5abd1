"""Bounding boxes of masks, of labels and of the structures of a segmentation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .segmentation import Segmentation

Box = tuple[slice, slice, slice]
"""The slices, rows and columns of an array that a box covers."""

_BITS = 64


def bounding_box(*masks: np.ndarray) -> Box | None:
    """The smallest box that holds every voxel that is not 0 in one of the masks, None if there is none.

    Args:
        masks: arrays of one shape (slices, rows, columns), boolean or labels.
    """
    box = [slice(0, size) for size in masks[0].shape]
    for axis, others in enumerate(((1, 2), (0, 2), (0, 1))):  # each axis in what the axes before it left
        filled = np.flatnonzero(np.any([mask[tuple(box)].any(axis=others) for mask in masks], axis=0))
        if not filled.size:
            return None
        box[axis] = slice(int(filled[0]), int(filled[-1]) + 1)
    return box[0], box[1], box[2]


def joint_box(one: Box | None, other: Box | None) -> Box | None:
    """The smallest box around two boxes, either of which may be None."""
    if one is None or other is None:
        return one or other
    slices, rows, columns = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return slices, rows, columns


def grown(box: Box, shape: Sequence[int]) -> Box:
    """The box with one voxel more on every side, within an array of that shape."""
    slices, rows, columns = (
        slice(max(0, one.start - 1), min(n, one.stop + 1)) for one, n in zip(box, shape, strict=True)
    )
    return slices, rows, columns


def label_boxes(labels: np.ndarray, indices: Sequence[int]) -> dict[int, Box]:
    """Bounding box of each of the labels `indices` that has voxels.

    One pass over the voxels for every 64 labels: a table turns labels into one bit per label, and OR along rows and columns
    keeps which labels were there.

    Args:
        labels: (slices, rows, columns) uint8.
        indices: the labels that are looked for, 0 to 255.
    """
    boxes: dict[int, Box] = {}
    for start in range(0, len(indices), _BITS):
        part = list(indices[start : start + _BITS])
        kind = np.min_scalar_type(2 ** len(part) - 1)
        table = np.zeros(256, dtype=kind)
        table[part] = (np.uint64(1) << np.arange(len(part), dtype=np.uint64)).astype(kind)
        seen = [np.zeros(size, dtype=kind) for size in labels.shape]
        for number, plane in enumerate(labels):
            bits = table[plane]
            rows = np.bitwise_or.reduce(bits, axis=1)
            seen[0][number] = np.bitwise_or.reduce(rows)
            seen[1] |= rows
            seen[2] |= np.bitwise_or.reduce(bits, axis=0)
        for bit, index in enumerate(part):
            filled = [np.flatnonzero(axis >> kind.type(bit) & kind.type(1)) for axis in seen]
            if filled[0].size:
                slices, rows, columns = (slice(int(at[0]), int(at[-1]) + 1) for at in filled)
                boxes[index] = slices, rows, columns
    return boxes


def structure_boxes(segmentation: Segmentation) -> dict[int, Box]:
    """Bounding box of each structure that has voxels, by its index; voxels under another structure count."""
    boxes = label_boxes(segmentation.labels, [structure.index for structure in segmentation.structures])
    for index in segmentation.overlaps:
        if (box := bounding_box(segmentation.mask(index))) is not None:
            boxes[index] = box
    return boxes
