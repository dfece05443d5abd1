"""Segmentations of eight ellipsoids, named after organs, to compare and to look at."""

from __future__ import annotations

import numpy as np
import slicer

from .pressing import settle

SHAPE, SPACING_MM = (24, 96, 96), (3.0, 1.5, 1.5)


def organs(shift=0, without=(), shape=SHAPE):
    """Labels with one ellipsoid a structure; the further down the list, the further it is shifted."""
    from UNetSegmenterLib.engine.labels.structures import ABDOMEN8

    labels = np.zeros(shape, np.uint8)
    grid = np.ogrid[tuple(slice(0, size) for size in shape)]
    for structure in ABDOMEN8:
        if structure.name in without:
            continue
        row, column = divmod(structure.index - 1, 4)
        middle = (shape[0] / 2, (0.27 + 0.45 * row) * shape[1], (0.13 + 0.24 * column) * shape[2] + shift * row)
        radius = (shape[0] / 3, shape[1] / 8, shape[2] / 11)
        labels[sum(((at - m) / r) ** 2 for at, m, r in zip(grid, middle, radius, strict=True)) < 1] = structure.index
    return labels


def add(name, labels, spacing_mm=SPACING_MM, origin=(-70.0, -60.0, 10.0), structures=None):
    """A segmentation node with these labels."""
    from UNetSegmenterLib.engine.io.geometry import Geometry
    from UNetSegmenterLib.engine.labels.segmentation import Segmentation
    from UNetSegmenterLib.engine.labels.structures import ABDOMEN8
    from UNetSegmenterLib.scene.nodes.segmentation_to_node import segmentation_to_node

    geometry = Geometry(labels.shape, spacing_mm, origin)
    segmentation = Segmentation(labels, geometry, tuple(structures or ABDOMEN8), name)
    return segmentation_to_node(segmentation, slicer.mrmlScene, surfaces=False)


def choose(widget, prediction, reference):
    """Choose what the panel compares."""
    widget.ui.predictionSelector.setCurrentNode(prediction)
    widget.ui.referenceSelector.setCurrentNode(reference)
    settle()
