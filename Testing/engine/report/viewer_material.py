"""A noisy scan with boxes, its prediction and its reference, for the viewer of a report and pictures of slices."""

import numpy as np
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8

STRUCTURES = ABDOMEN8[:3]
UPSIDE_DOWN = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
LPS, TURNED = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), ((0.0, 0.0, -1.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def material(shape=(30, 36, 40), spacing=(2.0, 1.0, 1.0), direction=LPS, shift=2):
    """A noisy scan with three bright boxes, the prediction shifted along the rows."""
    geometry = Geometry(shape, spacing, (-12.0, 34.0, -7.0), direction)
    ours, theirs = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    scan = np.random.default_rng(1).normal(0, 15, shape).astype(np.int16)
    slices, rows, columns = (slice(n // 3, 2 * n // 3 or 1) for n in shape)
    for i, structure in enumerate(STRUCTURES):
        part = slice(columns.start - 6 + 9 * i, columns.start + 9 * i)
        theirs[slices, rows, part] = structure.index
        ours[slices, rows.start + shift : rows.stop + shift, part] = structure.index
        scan[slices, rows, part] += 100 + 40 * i
    prediction, reference = (Segmentation(labels, geometry, STRUCTURES) for labels in (ours, theirs))
    return compare(prediction, reference, "case"), Volume(scan, geometry), prediction, reference
