"""The table that a comparison prints."""

import numpy as np
from unetseg.results import print_results
from UNetSegmenterLib.engine.comparison import compare
from UNetSegmenterLib.engine.segmentation import Segmentation
from UNetSegmenterLib.engine.statistics import summary
from UNetSegmenterLib.engine.structures import ABDOMEN8
from UNetSegmenterLib.engine.volume import Geometry

GRID = Geometry((4, 20, 20), (1.0, 1.0, 1.0))


def printed(capsys, cases):
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:3, 5:15, 5:15] = ABDOMEN8[0].index
    reference = Segmentation(labels, GRID, ABDOMEN8[:1])
    comparisons = [compare(Segmentation(labels, GRID, ABDOMEN8), reference, name) for name in cases]
    print_results(comparisons, summary([row for one in comparisons for row in one.rows]), "Cases")
    return capsys.readouterr().out


def test_the_mean_is_said_to_be_over_the_structures_that_were_compared(capsys):
    assert "mean Dice over 1 structure: 1.000" in printed(capsys, ["a"])
    assert "mean Dice over 1 structure: 1.000" in printed(capsys, ["a", "b"])
