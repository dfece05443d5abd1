"""Voxels that an annotator left undecided: nnU-Net's label "ignore", which is neither a structure nor background."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..errors import InputError
from .segmentation import Segmentation
from .structures import Structure

IGNORED = 255  # in arrays of indices; structures have 1 to 254
IGNORE = "ignore"


def ignored_structure(value: int) -> Structure:
    """Declares the label value of ignored voxels to `read_segmentation`, among the structures."""
    return Structure(IGNORE, IGNORED, (value,), (128, 128, 128))


def with_ignored_apart(segmentation: Segmentation) -> Segmentation:
    """Ignored voxels of the labels become background and the mask `ignored`; other segmentations stay as they are."""
    if not any(one.index == IGNORED and one.name == IGNORE for one in segmentation.structures):
        return segmentation
    mask = segmentation.mask(IGNORED)
    return replace(
        without_voxels(segmentation, mask),
        structures=tuple(one for one in segmentation.structures if one.index != IGNORED),
        ignored=mask if mask.any() else None,
    )


def with_value_ignored(segmentation: Segmentation, value: int) -> Segmentation:
    """The segmentation in which a structure of this label value is no structure but voxels that were left undecided.

    Raises:
        InputError: no structure has that value alone.
    """
    found = next((one for one in segmentation.structures if one.values == (value,)), None)
    if found is None:
        known = ", ".join(f"{one.name} {'+'.join(map(str, one.values))}" for one in segmentation.structures)
        raise InputError(
            f"{segmentation.name} has no label value {value} that could be ignored; it has {known or 'none'}."
        )
    mask = segmentation.mask(found.index)
    kept = segmentation.restricted_to([one for one in segmentation.structures if one is not found])
    return replace(without_voxels(kept, mask), ignored=mask)


def without_voxels(segmentation: Segmentation, mask: np.ndarray) -> Segmentation:
    """The segmentation with the voxels of a mask made background, those of overlapping structures too."""
    labels = np.where(mask, 0, segmentation.labels).astype(np.uint8)
    return replace(segmentation, labels=labels, overlaps=_outside(segmentation.overlaps, mask))


def _outside(overlaps: Mapping[int, np.ndarray], mask: np.ndarray) -> dict[int, np.ndarray]:
    outside = {index: voxels[~mask.reshape(-1)[voxels]] for index, voxels in overlaps.items() if index != IGNORED}
    return {index: voxels for index, voxels in outside.items() if voxels.size}


def indices_with_ignored(segmentation: Segmentation) -> np.ndarray:
    """Labels uint8 (slices, rows, columns) in which ignored voxels are `IGNORED`."""
    if segmentation.ignored is None:
        return segmentation.labels
    return np.where(segmentation.ignored, IGNORED, segmentation.labels).astype(np.uint8)
