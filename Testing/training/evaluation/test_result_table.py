"""The table that a comparison prints."""

import math

import numpy as np
import pytest
from unetseg.evaluation.result_table import print_results
from unetseg.training.cross_validation import FoldRow, summarise
from UNetSegmenterLib.engine.evaluation.comparison import Comparison, StructureComparison, compare
from UNetSegmenterLib.engine.evaluation.measures import measure
from UNetSegmenterLib.engine.evaluation.statistics import summary
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8

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


def test_the_means_of_a_cross_validation_each_stand_for_themselves():
    dice = {("a", "liver"): 0.9, ("a", "gallbladder"): 0.1, ("b", "liver"): 0.9, ("b", "gallbladder"): math.nan}
    rows = [FoldRow("ab".index(case), case, structure, value) for (case, structure), value in dice.items()]
    result = summarise(rows, ["liver", "gallbladder"])
    assert result["mean_dice"] == pytest.approx(0.5)
    over = result["mean_dice_over_cases"]
    half = 12.7062 * 0.4 / math.sqrt(2) / math.sqrt(2)
    assert (over["mean"], over["n"]) == (pytest.approx(0.7), 2)
    assert over["ci95"] == pytest.approx([max(0, 0.7 - half), min(1, 0.7 + half)])
    assert result["mean_dice_of_folds"] == pytest.approx([0.5, 0.9])
    assert result["structures"]["gallbladder"]["ci95"] is None and result["structures"]["gallbladder"]["n"] == 1


def test_a_distance_over_fewer_cases_than_dice_says_over_how_many(capsys):
    full = np.ones((4, 4, 4), bool)
    rows = {case: (full & (case != "c"), full) for case in "abc"}
    comparisons = [
        Comparison(
            case, (StructureComparison(case, "liver", "missed" if case == "c" else "ok", measure(*masks, (1, 1, 1))),)
        )
        for case, masks in rows.items()
    ]
    print_results(comparisons, summary([row for one in comparisons for row in one.rows]), "a set")
    printed = capsys.readouterr().out
    assert "0.0 ± 0.0 (n = 2)" in printed and "1 of 3" in printed
    assert "mean Dice over 3 cases: 0.667 (95 % confidence interval 0.000 to 1.000)" in printed
