"""Nodes for tests: CT-like bodies of known shape, and segmentations of eight ellipsoids that are named after organs."""

from __future__ import annotations

import numpy as np
import slicer

from .pressing import settle


def body(slices=16, rows=96, columns=128, seed=0):
    """HU (slices, rows, columns): air, an ellipse of soft tissue with noise, a bright spine."""
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    hu = np.full((slices, rows, columns), -1000, dtype=np.int16)
    noise = np.random.default_rng(seed).normal(0, 15, hu.shape)
    inside = (x / 0.85) ** 2 + (y / 0.7) ** 2 < 1
    hu[:, inside] = (40 + noise[:, inside]).astype(np.int16)
    hu[:, x**2 + (y - 0.45) ** 2 < 0.02] = 400
    hu[:, (x + 0.35) ** 2 + (y + 0.1) ** 2 < 0.06] = 110
    return hu


def add_scan(name="CT", array=None, spacing_mm=(3.0, 1.5, 1.5), direction=None, origin_lps=(-90.0, -70.0, 20.0)):
    """A scalar volume node with this array `(slices, rows, columns)` and place."""
    from UNetSegmenterLib.engine.io.geometry import IDENTITY, Geometry
    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.scene.nodes.volume_nodes import volume_to_node

    array = body() if array is None else array
    geometry = Geometry(array.shape, spacing_mm, origin_lps, direction or IDENTITY)
    return volume_to_node(Volume(array, geometry, name), slicer.mrmlScene)


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
