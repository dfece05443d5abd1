"""Cases of a report: boxes that are compared, a picture, a finding."""

import numpy as np
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_writing import png_bytes
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, known_structure
from UNetSegmenterLib.engine.plausibility.finding import Finding

GRID = Geometry((24, 32, 40), (3.0, 1.0, 1.0), (-10.0, 20.0, 5.0))
REFERENCE_NOTE = "Reference by <TotalSegmentator>, not by a person."


def case(name, shift=1, leave_out=(), extra=(), structures=ABDOMEN8[:5]):
    """Five boxes, the prediction shifted; `leave_out` missing in the prediction, `extra` missing in the reference."""
    ours, theirs = np.zeros(GRID.shape, np.uint8), np.zeros(GRID.shape, np.uint8)
    for structure in structures:
        i = structure.index
        if i not in leave_out:
            ours[2 + i : 16, 4 + shift : 14 + shift, 6 * i : 6 * i + 5] = i
        if i not in extra:
            theirs[2 + i : 16, 4:14, 6 * i : 6 * i + 5] = i
    reference = Segmentation(theirs, GRID, (*structures, known_structure("femur", 9, 9)), "by hand")
    return compare(Segmentation(ours, GRID, structures, "network"), reference, name)


def png():
    return png_bytes(np.broadcast_to(np.arange(0, 200, 5, dtype=np.uint8)[:, None], (40, 40, 3)))


def finding(severity, structure="liver", position_ras_mm=(12.0, -3.4, 50.0), sentence="Something <b>odd</b>."):
    return Finding("pieces", structure, severity, 2.0, "1 piece", position_ras_mm, sentence)
