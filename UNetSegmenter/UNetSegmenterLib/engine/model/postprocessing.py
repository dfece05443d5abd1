"""Postprocessing that a card asks for: of some structures together, only the largest connected component is kept.

nnU-Net finds by cross-validation where that helps and writes it into `postprocessing.json`. Voxels are connected if they
share a face, an edge or a corner, as there; of several components of the largest size, all are kept, as there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..labels.bounding_boxes import bounding_box


def keep_largest_component(labels: np.ndarray, indices: Sequence[int]) -> int:
    """Set to background what belongs to `indices` but not to the largest component of their union, in place.

    Args:
        labels: (slices, rows, columns) uint8 of class indices; 0 is background.
        indices: structures that count as one.

    Returns:
        How many voxels became background.
    """
    import SimpleITK as sitk  # here, so that machines without it train, and predict where no card asks for this

    chosen = np.zeros(256, dtype=bool)
    chosen[list(indices)] = True
    mask = chosen[labels]
    if (box := bounding_box(mask)) is None:
        return 0
    image = sitk.GetImageFromArray(mask[box].astype(np.uint8))
    components = sitk.GetArrayFromImage(sitk.ConnectedComponent(image, True))  # True: by faces, edges and corners
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    removed = mask[box] & (sizes < sizes.max())[components]
    labels[box][removed] = 0
    return int(removed.sum())


def postprocess(labels: np.ndarray, steps: Sequence[dict[str, Sequence[int]]]) -> int:
    """Carry out the steps of a card, `{"keep_largest_component_of": [indices]}` each, in place and in their order.

    Args:
        labels: (slices, rows, columns) uint8 of class indices.
        steps: the card's `postprocessing`.

    Returns:
        How many voxels became background.
    """
    return sum(keep_largest_component(labels, step["keep_largest_component_of"]) for step in steps)
